"""Learning a scene from the few labels that its user gives. This is part of the job: a plain loop
over minutes' work, not the training rooms of recipes."""
