"""From a model's real outputs to a task's answers, in plain numpy: what tasks share with boards."""
