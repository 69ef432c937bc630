"""What is learned from and measured on: pictures and films with boxes, made scenes and clips."""
