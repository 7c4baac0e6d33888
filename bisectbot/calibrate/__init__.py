"""The experiment behind `bisectbot calibrate`: settings, what is measured next, and what follows; pure."""
