"""What a notebook shows of an object: HTML without script or style sheet (``_repr_html_``)."""
