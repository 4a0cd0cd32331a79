"""Step, state, checkpoint and loop; knows Task and TrainState, no concrete task."""
