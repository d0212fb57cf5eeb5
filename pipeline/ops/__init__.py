"""What operators do around the pipeline: deploy, supervise, size, back up. Nothing here takes part in processing."""
