"""What several architectures share: columns, stages, passes for each task, first predictions."""
