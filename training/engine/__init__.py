"""The training loop of every task: processes, sharding, checkpoints, optimisers and logs."""
