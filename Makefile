# Forwards to ./dev, for fingers that type make.
demo test soak lint bench setup:
	@./dev $@

.PHONY: demo test soak lint bench setup
