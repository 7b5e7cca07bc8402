"""Everything that learns latents: subjects, hooks, capture, autoencoders, hierarchy, training."""
