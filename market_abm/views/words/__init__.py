"""Every sentence that a user reads: the views call these modules and lay out what they return."""
