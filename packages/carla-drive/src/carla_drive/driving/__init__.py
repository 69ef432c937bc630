"""Who drives: the expert, simple policies, the network's agent, and what keeps it safe."""
