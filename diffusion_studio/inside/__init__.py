"""What can be seen inside diffusion: today the forward process of points."""
