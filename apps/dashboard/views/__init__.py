"""What one page alone draws, where it is more than fits beside the page."""
