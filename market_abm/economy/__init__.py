"""What is made of what, by whom, on what terms: the immutable production network."""
