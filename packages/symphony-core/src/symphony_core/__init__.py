"""The domain of Symphony: runs workflows through ports and nothing else."""
