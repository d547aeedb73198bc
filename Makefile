# Short names for ./labs, for those whose fingers say make.

.DEFAULT_GOAL := help
.PHONY: help up down status test fast fix lock doctor

help: ## show this list
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 10

up: ## start everything and come back
	./labs up --detach

down: ## stop everything
	./labs down

status: ## each part's state and memory
	./labs status

test: ## every check and test, as CI runs them
	./labs test

fast: ## the same without the slow tests
	./labs test --fast

fix: ## let ruff mend what it can
	.venv/bin/ruff check --fix .
	.venv/bin/ruff format .

lock: ## compile requirements/*.in into *.txt, with hashes
	./labs lock

doctor: ## what is installed here, what is missing
	./labs doctor
