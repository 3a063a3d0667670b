"""What config/validate checks. __main__ runs the checks; each module holds one kind of them."""
