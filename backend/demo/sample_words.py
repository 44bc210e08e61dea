"""The sentences that demo tutorials, resources and quizzes are put together from, one set for each language."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Words:
    comma: str
    openings: tuple[str, ...]
    before_heading: str
    before: str
    nothing_before: str
    steps_heading: str
    steps: tuple[str, ...]       # one for each keyword
    practice_heading: str
    practices: tuple[str, ...]
    notice: str
    summary: str
    resources: dict[str, tuple[str, str]]  # type -> title, description
    ask_description: str
    ask_keyword: str
    ask_place: str
    place: str
    explanation: str


ENGLISH = Words(
    comma=", ",
    openings=(
        "Most people meet **{name}** by accident, usually when something has already gone wrong. This tutorial takes the "
        "other road: a quiet hour, one idea at a time.",
        "In *{module}* this is the step where things begin to fit together. Plan about {hours} hours, with a break.",
        "Before you read on, write down in one sentence what you think **{name}** means. Keep the note: at the end you "
        "will want to compare.",
        "**{name}** belongs to *{stage}*. It looks small from outside; inside it has a few corners worth knowing.",
    ),
    before_heading="Before you start",
    before="It helps to have worked through: {before}. If one of these feels shaky, go back for ten minutes; it pays.",
    nothing_before="You need nothing but curiosity. This is one of the places where the roadmap can be entered.",
    steps_heading="Step by step",
    steps=(
        "Look at **{keyword}** in the simplest example you can find, and say aloud what you see.",
        "Change one thing about **{keyword}** and predict what will happen before you try it.",
        "Find a case where **{keyword}** does not behave as you expected, and keep it as your test.",
        "Explain **{keyword}** to somebody who has ten minutes, without using the word itself.",
    ),
    practice_heading="Practice",
    practices=(
        "Take a real case of your own and go through the steps once with {first} in mind. Stop after half an hour, even in "
        "the middle, and note the next step.",
        "Collect three examples: one typical, one at the edge, and one that only looks like {name}. Say what tells them apart.",
        "Teach it. Draw one picture that holds {keywords}, and leave out everything that can be left out.",
    ),
    notice="This is demo text of Redrive, put together from the roadmap's own words. It is no real course.",
    summary="{description} After about {hours} hours you can use {first} and recognise {last}.",
    resources={
        "article": ("{name}, explained slowly", "A patient introduction that begins with {keyword}."),
        "video": ("{name} in twenty minutes", "Shows {keyword} at work, with a worked example."),
        "book": ("The short book of {name}", "A chapter a day for a week; the third is about {keyword}."),
        "exercise": ("Ten exercises on {name}", "From warm-up to puzzle, with answers."),
        "documentation": ("Reference notes: {name}", "Look things up about {keyword} without reading it all."),
    },
    ask_description="Which sentence says best what {name} is about?",
    ask_keyword="Which words belong to {name}?",
    ask_place="Where in the roadmap {roadmap} does {name} stand?",
    place="{stage}: {module}",
    explanation="In this roadmap {name} goes with: {right}.",
)

CHINESE = Words(
    comma="、",
    openings=(
        "很多人第一次遇到**{name}**，都是在事情已经出错的时候。这篇教程换一条路：找一个安静的时段，一次只弄懂一件事。",
        "在“{module}”这一部分里，**{name}**是把前后串起来的一步。请预留大约 {hours} 小时，中间记得休息。",
        "先别往下读：用一句话写下你心目中的**{name}**。把这张纸条留好，学完再回头对照。",
        "**{name}**属于“{stage}”阶段。从外面看它很小，走进去才发现有几个值得留意的转角。",
    ),
    before_heading="开始之前",
    before="建议先学过：{before}。如果其中哪一项还不踏实，回去花十分钟，很值得。",
    nothing_before="不需要任何基础，带着好奇心就可以从这里走进这条路线。",
    steps_heading="一步一步来",
    steps=(
        "找一个最简单的例子来看**{keyword}**，把看到的东西说出声来。",
        "只改动与**{keyword}**有关的一个地方，动手之前先预测结果。",
        "找一个**{keyword}**与预想不符的情形，留作自己的检验题。",
        "不用这个词本身，用十分钟把**{keyword}**讲给别人听。",
    ),
    practice_heading="练习",
    practices=(
        "拿一个自己的真实例子，带着“{first}”走一遍上面的步骤。半小时后停下，哪怕只做到一半，并记下下一步。",
        "收集三个例子：一个典型的，一个边缘的，一个只是看上去像{name}的，说清楚它们的区别。",
        "把它教给别人：画一张图，容纳{keywords}，其余能省的全部省去。",
    ),
    notice="这是 Redrive 的演示文本，由路线图自身的文字拼成，并非真正的课程。",
    summary="{description}大约 {hours} 小时之后，你能运用{first}，并认出{last}。",
    resources={
        "article": ("慢慢讲清{name}", "从{keyword}讲起的耐心导读。"),
        "video": ("二十分钟看懂{name}", "用一个完整的例子演示{keyword}。"),
        "book": ("{name}小书", "每天一章，一周读完，第三章专讲{keyword}。"),
        "exercise": ("{name}十题", "由浅入深，附参考答案。"),
        "documentation": ("{name}速查", "需要时查阅{keyword}，不必从头读完。"),
    },
    ask_description="下面哪一句最能说明“{name}”讲的是什么？",
    ask_keyword="下面哪一组词属于“{name}”？",
    ask_place="在路线图“{roadmap}”中，“{name}”位于哪里？",
    place="{stage}：{module}",
    explanation="在这条路线图里，“{name}”对应的是：{right}。",
)

WORDS = {"en": ENGLISH, "zh": CHINESE}
