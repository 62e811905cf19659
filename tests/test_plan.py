from dataclasses import replace

from cord.engines import EngineInfo
from cord.plan import identify, problem_key, search_fingerprint, verdict_key
from cord.recipe import (
    JudgeSettings,
    Model,
    PathBound,
    PublishSettings,
    VerifySettings,
    Writer,
)
from cord.recipe_file import parse_recipe
from cord.types import Problem

RECIPE = parse_recipe(
    """
name: r
problems: {path: p.jsonl}
teachers:
  - {name: a, model: "cord:a", temperature: 0.6}
  - {name: b, model: "cord:b", temperature: 0.6}
meta_prover: a
run: {seed: 7, shards: 4}
"""
)


def info(identity: str) -> EngineInfo:
    return EngineInfo("m", identity, 4096, "embedded", True, True)


ENGINES = {"a": info("A"), "b": info("B"), "meta-prover": info("A")}
PROBLEM = Problem("p", "q", "1")
BEFORE_STRATEGIES = "9b7ae472ff65774866e4bf066db5e30551ec7fc52646c32a43577c788404fe47"
BEFORE_BOUNDS = "f980a65c73911f05f9ec680cb7c03ddde675085a5bd7e8ca2d927982153441b9"
BEFORE_DOMAINS = "18787a3dc9658d59069dbc7f909f5dca2675f65a2aee29c7aee4f87b1a5356f1"


def changed(section: str, **fields: object) -> str:
    part = getattr(RECIPE, section).model_copy(update=fields)
    return search_fingerprint(RECIPE.model_copy(update={section: part}), ENGINES)


def test_how_the_work_is_carried_out_does_not_change_the_key() -> None:
    same = search_fingerprint(RECIPE, ENGINES)
    assert changed("run", shards=9, workers=5, in_flight=3, retries=0) == same


def test_what_decides_a_trajectory_does() -> None:
    same = search_fingerprint(RECIPE, ENGINES)
    assert changed("run", seed=8) != same
    assert changed("search", width=2) != same
    assert search_fingerprint(RECIPE, {**ENGINES, "b": info("other weights")}) != same


def test_settings_that_came_later_name_a_search_only_where_they_are_used() -> None:
    """A search of the days before strategies is the same search still: its name is written here."""
    assert search_fingerprint(RECIPE, ENGINES) == BEFORE_STRATEGIES
    assert changed("search", rank_by="last", choose_by=None) == BEFORE_STRATEGIES
    assert changed("search", rank_by="mean") != BEFORE_STRATEGIES
    assert changed("search", strategy="mcts", exploration=1.0) != changed("search", strategy="mcts")


def test_whoever_scores_or_merges_names_the_search_and_nobody_else_does() -> None:
    def named(criterion: str = "predictive-perplexity", strategy: str = "beam", **who: str) -> str:
        search = RECIPE.search.model_copy(update={"criterion": criterion, "strategy": strategy})
        engines = {
            **ENGINES,
            "judge": info("A"),
            "reward-model": info("P"),
            "integrator": info("A"),
        }
        recipe = RECIPE.model_copy(update={"search": search, "reward_model": Model(model="cord:p")})
        return search_fingerprint(
            recipe, engines | {name.replace("_", "-"): info(i) for name, i in who.items()}
        )

    other = {"judge": "J", "reward_model": "R", "integrator": "I"}
    assert named(**other) == named() == BEFORE_STRATEGIES, "where they are not asked"
    assert named("binary") != named("binary", judge="J")
    assert named("binary") == named("binary", meta_prover="M", reward_model="R")
    assert named("process-reward") != named("process-reward", reward_model="R")
    assert named("process-reward") == named("process-reward", meta_prover="M", judge="J")
    assert named(strategy="integration") != named(strategy="integration", integrator="I")
    assert len({named(c) for c in ("binary", "process-reward", "random", "max-length")}) == 4


def test_how_the_integrator_samples_names_the_search() -> None:
    search = RECIPE.search.model_copy(update={"strategy": "integration"})
    engines = {**ENGINES, "integrator": info("A")}

    def named(integrator: str | Writer | None) -> str:
        changes = {"search": search, "integrator": integrator}
        return search_fingerprint(RECIPE.model_copy(update=changes), engines)

    assert named(None) == named("a") == named(Writer(model="cord:a"))
    assert named(Writer(model="cord:a", temperature=0)) != named("a")


def test_a_bound_on_paths_names_another_run_only_where_there_is_one() -> None:
    """A run of the days before such bounds is the same run still."""

    def named(publish: PublishSettings) -> str:
        recipe = RECIPE.model_copy(update={"publish": publish})
        return identify(recipe, ENGINES, [PROBLEM], []).run

    assert named(PublishSettings()) == BEFORE_BOUNDS
    assert named(PublishSettings(path=PathBound(at_least=0.3))) != BEFORE_BOUNDS


def test_deduplication_names_a_run_where_it_is_not_as_it_always_was() -> None:
    def named(**settings: object) -> str:
        section = RECIPE.deduplicate.model_copy(update=settings)
        return identify(
            RECIPE.model_copy(update={"deduplicate": section}), ENGINES, [PROBLEM], []
        ).run

    assert named(trajectories=0.9, against=()) == BEFORE_BOUNDS
    assert (
        len({BEFORE_BOUNDS, named(trajectories=None), named(against=("r@1",)), named(near=0.7)})
        == 4
    )


def test_other_weights_of_the_meta_prover_are_another_search() -> None:
    same = search_fingerprint(RECIPE, ENGINES)
    assert search_fingerprint(RECIPE, {**ENGINES, "meta-prover": info("M")}) != same


def test_a_changed_answer_is_another_problem() -> None:
    assert problem_key("s", PROBLEM) != problem_key("s", replace(PROBLEM, answer="2"))
    assert problem_key("s", PROBLEM) == problem_key("s", replace(PROBLEM, source="elsewhere:3"))


def test_the_run_is_named_by_its_problems_in_any_order() -> None:
    other = Problem("p2", "q2", "2")
    a = identify(RECIPE, ENGINES, [PROBLEM, other], [])
    b = identify(RECIPE, ENGINES, [other, PROBLEM], [])
    assert a.run == b.run != identify(RECIPE, ENGINES, [PROBLEM], []).run


def test_other_verification_is_another_judgement_of_the_same_search() -> None:
    stricter = RECIPE.verify.model_copy(update={"time_limit_s": 1.0})
    assert verdict_key(RECIPE, "k") != verdict_key(
        RECIPE.model_copy(update={"verify": stricter}), "k"
    )


def test_settings_that_older_runs_did_not_have_name_the_same_judgement_at_their_defaults() -> None:
    assert verdict_key(RECIPE, "k") == BEFORE_DOMAINS
    assert identify(RECIPE, ENGINES, [PROBLEM], []).run == BEFORE_BOUNDS
    for fields in ({"tolerance": 0.1}, {"scale": "optional"}, {"least_f1": 0.5}):
        looser = RECIPE.verify.model_copy(update=fields)
        recipe = RECIPE.model_copy(update={"verify": looser})
        assert verdict_key(recipe, "k") != BEFORE_DOMAINS
        assert identify(recipe, ENGINES, [PROBLEM], []).run != BEFORE_BOUNDS


def test_a_problems_own_domain_names_its_judgement_and_the_run_but_not_its_search() -> None:
    spans = replace(PROBLEM, domain="span")
    assert problem_key("s", spans) == problem_key("s", PROBLEM)
    assert verdict_key(RECIPE, "k", "span") != verdict_key(RECIPE, "k")
    assert identify(RECIPE, ENGINES, [spans], []).run != BEFORE_BOUNDS


def test_who_judges_open_answers_counts_and_not_where_it_is_served() -> None:
    def named(**model: object) -> str:
        settings = VerifySettings(domain="judge", judge=JudgeSettings(model=Model(**model)))
        return verdict_key(RECIPE.model_copy(update={"verify": settings}), "k")

    assert named(model="m", url="http://a/v1") == named(model="m", url="http://b/v1", seats=3)
    assert named(model="m") != named(model="n")
    assert RECIPE.answer_judge_model is None
    judged = RECIPE.model_copy(update={"verify": VerifySettings(domain="judge")})
    assert judged.answer_judge_model == RECIPE.meta_prover_model
    assert judged.roles["answer-judge"] == RECIPE.meta_prover_model
