"""What several pages draw. Nothing here knows a pipeline."""
