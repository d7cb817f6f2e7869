# One target a habit. Each makes .venv first where it is missing or older than the pins.
.PHONY: setup demo test check bench docs
bin := .venv/bin
stamp := .venv/.installed

setup: $(stamp)

$(stamp): constraints.txt pyproject.toml tools/setup
	tools/setup
	@touch $@

demo: $(stamp)
	@$(bin)/seaspeak demo

test: $(stamp)
	OMP_NUM_THREADS=1 $(bin)/python -m pytest -n auto --maxprocesses 8 --dist worksteal

check: $(stamp)
	$(bin)/ruff format --check .
	$(bin)/ruff check .
	$(bin)/mypy
	$(bin)/lint-imports
	$(bin)/codespell

bench: $(stamp)
	for script in benchmarks/*.py; do $(bin)/python $$script || exit 1; done

docs: $(stamp)
	EXTRAS=docs tools/setup
	$(bin)/mkdocs build --strict
