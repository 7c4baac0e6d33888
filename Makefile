# Forwards to ./dev, for fingers that type make.
demo test lint bench setup:
	@./dev $@

.PHONY: demo test lint bench setup
