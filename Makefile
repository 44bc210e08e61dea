# Everything starts here. On a fresh machine only python3 (3.11 or newer), make and git are needed.

PY := .venv/bin/python

.PHONY: run test chaos bench lint lock shots clean help

run: ## run everything on this machine: http://127.0.0.1:8501
	@scripts/python scripts/bootstrap.py run
	@exec .venv/bin/redrive up --ends-with-parent

test: ## install what the tests need, a browser too, and run all of them (ARGS="-k word" for some)
	@scripts/python scripts/bootstrap.py test
	@scripts/browser
	@$(PY) -m pytest -n 2 $(ARGS)

chaos: ## break everything at random for ten minutes and count what is lost (ARGS="--chaos-seed 7 --chaos-minutes 60")
	@scripts/python scripts/bootstrap.py test
	@REDRIVE_CHAOS=long $(PY) -m pytest -s tests/chaos $(ARGS)

bench: ## measure speed and print a table
	@scripts/python scripts/bootstrap.py test
	@$(PY) -m tests.benchmarks $(ARGS)

lint: ## check the style of the code
	@scripts/python scripts/bootstrap.py test
	@$(PY) -m ruff check .

shots: ## take pictures of every page into artifacts/
	@scripts/python scripts/bootstrap.py test
	@scripts/browser
	@$(PY) -m pytest tests/journeys/test_screens.py $(ARGS)

lock: ## pin every package with its hashes, from the .in files (ARGS=--upgrade for the newest)
	@scripts/python scripts/bootstrap.py lock $(ARGS)

clean: ## delete what can be made again; the data in .redrive stays
	@rm -rf .venv .pytest_cache .ruff_cache .hypothesis artifacts build *.egg-info
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

help: ## show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-7s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
