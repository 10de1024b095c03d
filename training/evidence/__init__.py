"""Evidence at small scale: short runs of equal budgets that compare one choice at a time."""
