"""What the model is asked for a chapter: the files chapter*.md in `prompts/`, filled with a brief."""

from backend.content.written import ChapterBrief, EarlierChapter
from workers.generators.prompt import Language, Prompt, fill, one_line, without_tags

SUMMARY_TOKENS = 3_000                    # for all chapters but the last together
_CHARACTERS_PER_TOKEN = {"en": 4.0, "zh": 1.2}
_LEAST_CHARACTERS = 80                    # of one summary: the oldest are left out rather than cut shorter
_NONE = {"en": "none", "zh": "无"}
_EARLIER = {"en": "Chapter {number}, {title}: {words}", "zh": "第{number}章《{title}》：{words}"}
_CHOSEN = {"en": " [The reader chose: {chosen}]", "zh": "【读者选择：{chosen}】"}


def write_chapter_prompt(brief: ChapterBrief) -> Prompt:
    language = chapter_language(brief)
    none = _NONE[language]
    last = brief.earlier[-1] if brief.earlier else None
    name = "chapter" if last else "chapter-first"
    words = {
        "novel": one_line(brief.novel_title), "setting": without_tags(brief.setting) or none, "number": str(brief.chapter_number),
        "note": without_tags(brief.note) or none,
    }
    if last:
        words |= {
            "summaries": "\n".join(summaries(brief.earlier[:-1], language)) or none, "last_number": str(last.chapter_number),
            "last_title": one_line(last.title), "last_text": without_tags(last.content),
            "choice": one_line(brief.choice) or none, "impact": one_line(brief.choice_impact) or none,
        }
    return Prompt(system=fill("novelist", language), user=fill(name, language, **words), language=language)


def chapter_language(brief: ChapterBrief) -> Language:
    return "zh" if brief.language.lower().startswith("zh") else "en"


def summaries(earlier: tuple[EarlierChapter, ...], language: Language) -> list[str]:
    """How each chapter begins and ends, and what was chosen: within the budget, the newest ones when it does not hold all."""
    budget = int(SUMMARY_TOKENS * _CHARACTERS_PER_TOKEN[language])
    shown = earlier[-max(1, budget // (2 * _LEAST_CHARACTERS)):]
    each = budget // max(1, len(shown))
    return [_summary(chapter, each, language) for chapter in shown]


def _summary(chapter: EarlierChapter, characters: int, language: Language) -> str:
    chosen = _CHOSEN[language].format(chosen=one_line(chapter.chosen)[:characters // 3]) if chapter.chosen else ""
    title = one_line(chapter.title)[:characters // 4]
    room = max(0, characters - len(chosen) - len(title) - 20)
    words = one_line(chapter.content)
    if len(words) > room:
        words = f"{words[:room // 2]} … {words[len(words) - room // 2:]}"
    return _EARLIER[language].format(number=chapter.chapter_number, title=title, words=words) + chosen
