"""`python -m tuneboard` is the `tuneboard` command."""

from tuneboard.cli import main

if __name__ == "__main__":
    main()
