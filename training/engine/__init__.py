"""The training loop of every task: processes, sharding, checkpoints, optimizers and logs."""
