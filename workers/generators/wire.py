"""The part of the chat completions protocol that is read here.

The openai client builds every piece of a stream into classes of its own: 0.4 ms each, 5 of the 8 ms that a streamed tutorial cost.
These hold the five fields that matter, and pydantic checks them in 3 µs.
"""

from pydantic import BaseModel


class Said(BaseModel):
    content: str | None = None
    refusal: str | None = None


class Choice(BaseModel):
    message: Said | None = None  # of a whole answer
    delta: Said | None = None    # of a piece of a stream
    finish_reason: str | None = None

    @property
    def said(self) -> Said:
        return self.message or self.delta or Said()


class Usage(BaseModel):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None


class Completion(BaseModel):
    """A whole answer, or a piece of one."""

    choices: list[Choice] | None = None
    usage: Usage | None = None
