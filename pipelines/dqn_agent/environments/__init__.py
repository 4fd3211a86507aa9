"""Two environments of our own, on simulators that step in batches, and the rules that planners use in them."""
