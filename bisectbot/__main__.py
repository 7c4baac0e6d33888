"""`python -m bisectbot` is the `bisectbot` command."""

from bisectbot.cli.main import main

if __name__ == "__main__":
    main()
