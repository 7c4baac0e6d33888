"""One boot, watched: a machine is started, its console read, and trials come out."""
