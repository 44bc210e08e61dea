"""Every page in light and dark, full and empty: pictures for people to look at, kept in artifacts/screens."""

from playwright.sync_api import Page, expect

from tests.journeys.conftest import ARTIFACTS, Stack
from tests.journeys.steps import open_plan_of_everything, retry_small
from tests.model_server import HELD

SCREENS = ARTIFACTS / "screens"
PAGES = {
    "overview": "", "problems": "problems", "roadmaps": "roadmap", "roadmap": "roadmap?id=agent-performance-optimization",
    "tasks": "tasks", "task": "tasks?task=task-creation-rust-in-practice", "task-unknown": "tasks?task=no-such-task",
    "tasks-failed": "tasks?status=failed&age=over-1d", "workers": "workers", "operations": "operations", "automatic": "automatic",
    "covers": "covers", "cover": "covers?id=balcony-gardening", "cover-failed": "covers?id=rust-in-practice",
    "chapter": "chapter?novel=cartographer-of-tides&number=2", "chapter-chinese": "chapter?novel=dunhuang-night-walk&number=3",
    "chapter-failed": "chapter?novel=cartographer-of-tides&number=5", "chapter-missing": "chapter?novel=night-train-to-vellmar&number=5",
    "chapter-invalid": "chapter?novel=mars-postman&number=3", "chapter-none": "chapter", "chapter-unknown": "chapter?novel=nobody&number=1",
    "novels": "novels", "novels-chinese": "novels?language=zh", "novels-search": "novels?text=no-such-words-anywhere",
    "operation-unknown": "operations?operation=no-such-operation", "unreadable": "problems?problem=unreadable",
    "causes": "problems?view=cause", "cause-none": "cause", "cause-unknown": "cause?id=no-such-cause",
    "nothing-found": "problems?text=no-such-words-anywhere",
}


def show(page: Page, stack: Stack, path: str) -> None:
    page.goto(f"{stack.address}/{path}")
    expect(page.get_by_role("heading", level=1)).to_be_visible()
    expect(page.get_by_test_id("stSidebar").get_by_text("As of")).to_be_visible()  # drawn last
    expect(page.get_by_test_id("stSkeleton")).to_have_count(0)
    expect(page.get_by_test_id("stStatusWidget")).to_have_count(0)


def photograph(page: Page, name: str) -> None:
    SCREENS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=SCREENS / f"{name}.png", full_page=True)


def test_every_page_is_drawn_in_light_and_dark_without_a_fault_and_without_another_host(person, shared_stack: Stack):
    stack = shared_stack
    hosts: set[str] = set()
    for scheme in ("light", "dark"):
        page = person(color_scheme=scheme)
        page.on("request", lambda request: hosts.add(request.url.split("/")[2].split(":")[0]) if "://" in request.url else None)
        for name, path in PAGES.items():
            show(page, stack, path)
            expect(page.get_by_test_id("stException")).to_have_count(0)
            photograph(page, f"{name}-{scheme}")
        largest = stack.query("select cause_id from ops.problems group by 1 order by count(*) desc, 1 limit 1")[0][0]
        show(page, stack, f"cause?id={largest}")
        expect(page.get_by_test_id("stException")).to_have_count(0)
        photograph(page, f"cause-{scheme}")
        show(page, stack, "problems")
        open_plan_of_everything(page)
        photograph(page, f"plan-{scheme}")

    assert hosts == {"127.0.0.1"}


def test_a_running_operation_is_drawn(page: Page, shared_stack: Stack):
    stack = shared_stack
    stack.model.latency_seconds = HELD
    show(page, stack, "problems?owner=agent-performance-optimization")
    retry_small(page, 21)

    expect(page.get_by_text("of 21 done").first).to_be_visible()

    photograph(page, "running")
    task_id = stack.query("select task_id from ops.items limit 1")[0][0]
    operation_id = stack.query("select operation_id from ops.operations")[0][0]
    for name, path in {"workers-busy": "workers", "tasks-running": "tasks", "task-running": f"tasks?task={task_id}",
                       "operation-live": f"operations?operation={operation_id}", "operations-running": "operations"}.items():
        show(page, stack, path)
        expect(page.get_by_test_id("stException")).to_have_count(0)
        photograph(page, name)
    stack.model.latency_seconds = 0.0


def test_an_empty_platform_says_in_words_that_nothing_is_broken(page: Page, stack: Stack):
    stack.query("truncate roadmap_metadata, novels, tasks, tutorial_metadata, resource_recommendation_metadata, quiz_metadata, "
                "roadmap_cover_images, chapters, options, user_choices, ops.problems, ops.dirty, ops.rechecks cascade")

    for name, path in {
            "overview": "", "problems": "problems", "roadmaps": "roadmap", "tasks": "tasks", "workers": "workers",
            "operations": "operations", "novels": "novels", "covers": "covers"}.items():
        show(page, stack, path)
        expect(page.get_by_test_id("stException")).to_have_count(0)
        photograph(page, f"{name}-empty")

    show(page, stack, "problems")
    expect(page.get_by_text("broken").first).to_be_visible()
