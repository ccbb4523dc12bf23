"""Training: data, synthesis, losses, the loop and the study of networks."""
