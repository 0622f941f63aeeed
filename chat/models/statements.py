"""Rows written and found with a statement that is built once, for the few places where that counts.

A send makes four rows and an ending one; the ORM builds each statement anew, which was half of a send's
CPU. The text comes from Django's own compiler, so quoting, placeholders and columns are its. No signals are
sent, as none are received. What it must not do: know any model by name.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple, TypeVar

from django.db import DEFAULT_DB_ALIAS, connection, connections
from django.db.models import BooleanField, CharField, Field, Model, QuerySet, TextField
from django.db.models.sql import InsertQuery

from chat.models.execution import change, fetch

M = TypeVar("M", bound=Model)
Converters = dict[int, tuple[list[Any], Any]]


class _Column(NamedTuple):
    """How one value of a row gets its form for the database."""

    name: str
    field: Field[Any, Any]
    #: Set by the field itself in a new row, as the moment of now.
    own: bool
    #: What most rows have, and its form. A field whose default is computed is asked for it once: only
    #: an equal value is taken for it.
    usual: Any
    prepared: Any
    #: Values of this type are stored as they are.
    plain: type | None


def new(model: type[M], /, **values: Any) -> M:
    """An instance as `model(**values)` makes it, at a third of the time. Names are those of fields;
    relations are given as instances or None."""
    given = {}
    related = []
    fields = _fields(model)
    for name, value in values.items():
        attname = fields[name].attname
        if attname != name and value is not None:
            related.append((name, value))
            value = value.pk
        given[attname] = value
    row = model(*[given[n] if n in given else d() if computed else d for n, computed, d in _defaults(model)])
    row._state.fields_cache.update(related)
    return row


@lru_cache(maxsize=64)
def _defaults(model: type[Model]) -> list[tuple[str, bool, Any]]:
    """Name, whether the default is computed, and the default or what computes it, of each field."""
    computed = [callable(field.default) for field in model._meta.concrete_fields]
    return [
        (field.attname, own, field.get_default if own else field.get_default())
        for field, own in zip(model._meta.concrete_fields, computed, strict=True)
    ]


def insert(row: Model) -> None:
    """Insert `row` as `save(force_insert=True)` does, and give it its key unless it has one."""
    db = connections[DEFAULT_DB_ALIAS]  # each look through Django's proxy costs as much as a value
    columns, statement = _insert(type(row), row.pk is not None, db.vendor)
    given = row.__dict__
    values = [_prepared(c, c.field.pre_save(row, True) if c.own else given[c.name], db) for c in columns]
    made = fetch(statement, values)
    assert made is not None
    row.pk = made[0]
    row._state.adding, row._state.db = False, DEFAULT_DB_ALIAS


@lru_cache(maxsize=64)
def _insert(model: type[Model], keyed: bool, vendor: str) -> tuple[list[_Column], str]:
    meta = model._meta
    fields = [field for field in meta.local_concrete_fields if keyed or not field.primary_key]
    query = InsertQuery(model)
    query.insert_values(fields, [model()])
    compiler = query.get_compiler(connection=connection)
    compiler.returning_fields = [meta.pk]
    ((statement, values),) = compiler.as_sql()
    assert len(values) == len(fields)
    return [_column(field) for field in fields], statement


def _prepared(column: _Column, value: Any, db: Any) -> Any:
    kind = type(value)
    if kind is column.plain:
        return value
    if kind is type(column.usual) and value == column.usual:
        return column.prepared
    return column.field.get_db_prep_save(value, db)


def _column(field: Field[Any, Any]) -> _Column:
    # Those with an `auto_now`, and files, have something of their own to do.
    moment = getattr(field, "auto_now", False) or getattr(field, "auto_now_add", False)
    own = moment or (type(field).pre_save is not Field.pre_save and not hasattr(field, "auto_now"))
    usual = field.get_default()
    prepared = field.get_db_prep_save(usual, connection)
    plain = {CharField: str, TextField: str, BooleanField: bool}.get(type(field))
    return _Column(field.attname, field, own, usual, prepared, plain)


def find(model: type[M], where: Mapping[str, Any], also: str = "") -> M | None:
    """The row whose columns equal `where` (names of fields), which must be unique; None when there is none.

    `also` is a further condition in SQL."""
    db = connections[DEFAULT_DB_ALIAS]
    names, converters, statement = _find(model, tuple(where), also, db.vendor)
    fields = _fields(model)
    row = fetch(statement, [fields[name].get_db_prep_value(where[name], db) for name in where])
    return None if row is None else model.from_db(DEFAULT_DB_ALIAS, names, _converted(row, converters))


def _converted(row: Sequence[Any], converters: Converters) -> list[Any]:
    db, values = connections[DEFAULT_DB_ALIAS], list(row)
    for index, (functions, column) in converters.items():
        for function in functions:
            values[index] = function(values[index], column, db)
    return values


def first(build: Callable[..., QuerySet[M]], *values: str | int) -> M | None:
    """The first row of `build(*values)`, annotations included; `build` is called once for all values.

    Each value has to stand in the query as it is given, and must decide nothing about its form.
    """
    model, names, more, converters, statement, parameters = _first(
        build, tuple(isinstance(value, str) for value in values), connection.vendor
    )
    row = fetch(statement, [values[p.place] if isinstance(p, _Place) else p for p in parameters])
    if row is None:
        return None
    found = _converted(row, converters)
    made: M = model.from_db(DEFAULT_DB_ALIAS, list(names), [found[place] for place in names.values()])
    for name, place in more.items():
        setattr(made, name, found[place])
    return made


class _Place(NamedTuple):
    """Stands among a statement's parameters for the value that is given at this place."""

    place: int


@lru_cache(maxsize=64)
def _first(
    build: Callable[..., QuerySet[M]], texts: Sequence[bool], vendor: str
) -> tuple[type[M], dict[str, int], dict[str, int], Converters, str, list[Any]]:
    marks = [f"mark {place}" if text else -1_000_000_007 - place for place, text in enumerate(texts)]
    rows = build(*marks)
    compiler = rows.query.get_compiler(connection=connection)
    statement, parameters = compiler.as_sql()
    assert set(marks) <= set(parameters)
    columns = [column for column, *_ in compiler.select]
    names = {columns[place].target.attname: place for place in compiler.klass_info["select_fields"]}
    places = [_Place(marks.index(p)) if p in marks else p for p in parameters]
    converters = compiler.get_converters(columns)
    return rows.model, names, dict(compiler.annotation_col_map), converters, statement, places


@lru_cache(maxsize=64)
def _find(
    model: type[Model], where: Sequence[str], also: str, vendor: str
) -> tuple[list[str], Converters, str]:
    compiler = model._base_manager.order_by().query.get_compiler(connection=connection)
    statement, values = compiler.as_sql()
    assert not values
    columns = [column for column, *_ in compiler.select]
    names = [column.target.attname for column in columns]
    return names, compiler.get_converters(columns), f"{statement} WHERE {_found(model, where, also)}"


def update(model: type[Model], where: Mapping[str, Any], values: Mapping[str, Any], also: str = "") -> int:
    """Set `values` in the rows whose columns equal `where`; how many they were.

    Names are those of fields, values what an instance would hold (keys for relations). `also` is a further
    condition in SQL.
    """
    db = connections[DEFAULT_DB_ALIAS]
    statement = _update(model, tuple(where), tuple(values), also, db.vendor)
    columns = _columns(model, db.vendor)
    given = (*values.items(), *where.items())
    parameters = [_prepared(columns[name], value, db) for name, value in given]
    return change(statement, parameters)


@lru_cache(maxsize=64)
def _update(model: type[Model], where: Sequence[str], values: Sequence[str], also: str, vendor: str) -> str:
    table = connection.ops.quote_name(model._meta.db_table)
    # Names of tables and columns alone, all of them the models' own.
    return f"UPDATE {table} SET {_equal(model, values, ', ')} WHERE {_found(model, where, also)}"  # noqa: S608


def _found(model: type[Model], where: Sequence[str], also: str) -> str:
    return _equal(model, where, " AND ") + (f" AND {also}" if also else "")


def _equal(model: type[Model], names: Sequence[str], between: str) -> str:
    fields = _fields(model)
    return between.join(f"{connection.ops.quote_name(str(fields[name].column))} = %s" for name in names)


@lru_cache(maxsize=64)
def _columns(model: type[Model], vendor: str) -> dict[str, _Column]:
    return {name: _column(field) for name, field in _fields(model).items()}


@lru_cache(maxsize=64)
def _fields(model: type[Model]) -> dict[str, Field[Any, Any]]:
    return {name: field for field in model._meta.concrete_fields for name in (field.name, field.attname)}
