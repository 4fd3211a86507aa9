"""What leaves a run: summary, verified bundle, registry with its gate and history, model card and report."""
