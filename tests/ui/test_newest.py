"""A newer press ends the run of an older one."""

from __future__ import annotations

import threading

from diffusion_studio.ui.newest import NewestRuns


def test_a_newer_run_ends_the_older_one_of_its_visitor_alone():
    runs = NewestRuns()
    other, first = runs.begin("b"), runs.begin("a")
    second = runs.begin("a")
    assert first.ended.is_set() and first.replaced and runs.get("a") is second
    assert not second.ended.is_set() and not other.ended.is_set() and not other.replaced


def test_a_press_that_was_overtaken_begins_nothing():
    runs = NewestRuns()
    later = runs.begin("a", pressed=2.0)
    overtaken = runs.begin("a", pressed=1.0)
    assert overtaken.ended.is_set() and overtaken.replaced
    assert runs.get("a") is later and not later.ended.is_set()
    newest = runs.begin("a", pressed=3.0)
    assert later.ended.is_set() and runs.get("a") is newest and not newest.ended.is_set()


def test_a_run_starts_once_and_under_its_name():
    run = NewestRuns().begin("a", "name")
    assert not run.start("another") and run.start("name") and not run.start("name")


def test_a_run_waits_for_the_one_that_is_at_work():
    runs = NewestRuns()
    at_work = runs.begin("a")
    at_work.start()
    never_started = runs.begin("a")
    newest = runs.begin("a")  # the one between was ended before it started
    assert never_started.before is at_work and newest.before is at_work and not never_started.start()
    threading.Timer(0.05, at_work.over.set).start()
    assert newest.wait_for_before(60) and at_work.over.is_set()


def test_a_run_waits_for_none_that_has_ended():
    runs = NewestRuns()
    first = runs.begin("a")
    first.start()
    first.over.set()
    assert runs.begin("a").wait_for_before(0)


def test_a_run_that_is_ended_waits_no_longer():
    runs = NewestRuns()
    runs.begin("a").start()
    second = runs.begin("a")
    runs.end("a")
    assert not second.wait_for_before(60) and not second.replaced


def test_a_run_leaves_its_place_unless_a_newer_one_has_it():
    runs = NewestRuns()
    first = runs.begin("a")
    second = runs.begin("a")
    runs.leave("a", first)
    assert runs.get("a") is second and first.over.is_set()
    runs.leave("a", second)
    assert runs.get("a") is None and second.over.is_set() and not second.ended.is_set()


def test_all_runs_end_and_one_is_forgotten():
    runs = NewestRuns()
    look, save = runs.begin("look"), runs.begin("save")
    runs.end_all()
    assert look.ended.is_set() and save.ended.is_set() and runs.get("look") is look
    assert runs.forget("look") is look and runs.get("look") is None and runs.forget("look") is None
