"""Walks an instance of a pypushflow Workflow and writes what it finds as one JSON object.

Run as `PYTHON -c THIS_FILE REQUEST` by `pushflow convert`; standard library only, Python 3.8 and later. What the
module prints while it is imported goes to standard error. Only facts about the instance are written here; how they
become a workflow file is decided in Rust.
"""

import functools
import importlib
import importlib.util
import inspect
import json
import os
import sys
import sysconfig
import traceback
import types


class Refusal(Exception):
    """There is nothing to convert: which sort of reason, and what is needed to say it."""

    def __init__(self, reason, **details):
        super().__init__(reason)
        self.details = dict(details, reason=reason)


def main(request):
    default_path = [entry for entry in sys.path if entry]
    module_name, file = locate(request["module"])
    here = os.path.dirname(file) if file else os.getcwd()
    root = file_root(file) if file else here
    sys.path[:] = [root] + [entry for entry in sys.path if entry]
    import_pypushflow()
    before = list(sys.path)
    module = import_module(module_name, file)
    added = [entry for entry in sys.path if entry not in before]
    workflow = instantiate(module, request)
    answer = Walk(workflow).answer()
    scripts = [node["what"]["python"]["script"] for node in answer["nodes"] if "python" in node["what"]]
    candidates = [root] + environment_path()
    needed = [entry for entry in candidates if is_needed(entry, default_path, module, scripts)]
    answer["warnings"][:0] = ({"text": text, "node": None} for text in unique(LEFT_OUT))
    answer["paths"] = unique(os.path.abspath(entry) for entry in needed + added)
    answer["gevent"] = is_gevent_patched()
    return answer


# Finding and importing the module


def locate(module):
    """The dotted name of the module, and its file where a file was named."""
    if not (module.endswith(".py") or os.sep in module):
        return module, None
    file = os.path.abspath(module)
    if not os.path.isfile(file):
        raise Refusal("no_file", module=module)
    name = os.path.splitext(os.path.basename(file))[0]
    folder = os.path.dirname(file)
    while os.path.isfile(os.path.join(folder, "__init__.py")):
        name = os.path.basename(folder) + "." + name
        folder = os.path.dirname(folder)
    return name, file


def file_root(file):
    """The folder to import a file from: above the packages that it is in."""
    folder = os.path.dirname(file)
    while os.path.isfile(os.path.join(folder, "__init__.py")):
        folder = os.path.dirname(folder)
    return folder


def import_pypushflow():
    try:
        importlib.import_module("pypushflow.Workflow")
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] == "pypushflow":
            raise Refusal("no_pypushflow")
        raise Refusal("pypushflow_broken", **said(error))
    except Exception as error:
        raise Refusal("pypushflow_broken", **said(error))
    take_arguments_of_other_releases()
    refuse_to_run()


#: What the file does not have of the class, beside what its actors do.
LEFT_OUT = []


def take_arguments_of_other_releases():
    """Constructors take arguments that this release does not know, as `level` in the example of pypushflow's own README."""
    from pypushflow.logutils import PyPushflowLoggedObject
    from pypushflow.Submodel import Submodel
    from pypushflow.ThreadCounter import ThreadCounter
    from pypushflow.Workflow import Workflow

    # Actors hand what they do not know up to the last of these.
    for kind in (Workflow, Submodel, ThreadCounter, PyPushflowLoggedObject):
        constructor = vars(kind).get("__init__")
        if constructor is None:
            continue
        parameters = inspect.signature(constructor).parameters
        if all(one.kind is not one.VAR_KEYWORD for one in parameters.values()):
            kind.__init__ = tolerant(constructor, frozenset(parameters))


def tolerant(constructor, known):
    @functools.wraps(constructor)
    def construct(self, *args, **kwargs):
        for key in [key for key in kwargs if key not in known]:
            text = 'the argument %s=%r of %s is left out: the installed pypushflow does not know it'
            hint = " (pushflow --verbose logs more)" if key == "level" else ""
            LEFT_OUT.append(text % (key, kwargs.pop(key), type(self).__name__) + hint)
        constructor(self, *args, **kwargs)

    return construct


class WorkflowIsRun(BaseException):
    """No Exception: what a module does with those must not hide it."""


def refuse_to_run():
    """A class is converted, not run, also where its module makes an instance and runs it."""
    from pypushflow.Workflow import Workflow

    def run(self, *args, **kwargs):
        raise WorkflowIsRun("it runs the workflow, which a conversion does not do")

    Workflow.run = functools.wraps(Workflow.run)(run)


def unfinished(name, error):
    """A module as it was when it ran a workflow while it was imported; None if it was another module that did."""
    trace = error.__traceback__
    while trace is not None:
        frame = trace.tb_frame
        if frame.f_code.co_name == "<module>" and frame.f_globals.get("__name__") == name:
            module = types.ModuleType(name)
            vars(module).update(frame.f_globals)
            sys.modules[name] = module
            text = "the module runs a workflow when it is imported: what comes after its line %d was not executed"
            LEFT_OUT.append(text % trace.tb_lineno)
            return module
        trace = trace.tb_next
    return None


def import_module(name, file):
    try:
        module = import_or_stop(name)
        if file is None or same_file(getattr(module, "__file__", None), file):
            return module
        # The name belongs to another module, one of the standard library for instance.
        spec = importlib.util.spec_from_file_location("converted_" + name.rpartition(".")[2], file)
        module = importlib.util.module_from_spec(spec)
        sys.modules[spec.name] = module
        try:
            spec.loader.exec_module(module)
        except WorkflowIsRun as error:
            return unfinished(spec.name, error) or module
        return module
    except ModuleNotFoundError as error:
        missing = error.name or ""
        if name == missing or name.startswith(missing + "."):
            raise Refusal("no_module", missing=missing)
        raise Refusal("import_failed", **said(error))
    except BaseException as error:
        raise Refusal("import_failed", **said(error))


def import_or_stop(name):
    try:
        return importlib.import_module(name)
    except WorkflowIsRun as error:
        module = unfinished(name, error)
        if module is None:
            raise
        return module


def same_file(one, other):
    return one is not None and os.path.exists(one) and os.path.samefile(one, other)


def said(error):
    """What a traceback ends with, on one line, and the place in the user's code that it came from."""
    message = " ".join(str(error).split())
    line = type(error).__qualname__ + (": " + message if message else "")
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if not frame.filename.startswith("<") and os.sep + "importlib" + os.sep not in frame.filename
    ]
    place = "%s:%s" % (frames[-1].filename, frames[-1].lineno) if frames else None
    return {"error": line, "place": place}


def environment_path():
    return [entry for entry in os.environ.get("PYTHONPATH", "").split(os.pathsep) if entry]


def is_needed(entry, default_path, module, scripts):
    """Whether the workflow could not be run without this folder on sys.path."""
    installed = {os.path.abspath(sysconfig.get_path(key)) for key in ("stdlib", "platstdlib", "purelib", "platlib")}
    from_environment = {os.path.abspath(other) for other in environment_path()}
    entry = os.path.abspath(entry)
    if entry in installed or (entry in map(os.path.abspath, default_path) and entry not in from_environment):
        return False
    # An environment may stand in the project's folder: what is found through its own folders does not need this one.
    deeper = [os.path.abspath(other) for other in default_path if is_below(os.path.abspath(other), entry)]

    def is_found_here(place):
        return is_below(place, entry) and not any(is_below(place, other) for other in deeper)

    if is_found_here(getattr(module, "__file__", None)):
        return True
    for script in scripts:
        try:
            spec = importlib.util.find_spec(script.split(".")[0])
        except (ImportError, ValueError):
            continue
        if spec is None:
            continue
        places = [spec.origin] if spec.has_location else list(spec.submodule_search_locations or [])
        if any(map(is_found_here, places)):
            return True
    return False


def is_below(file, folder):
    if not file:
        return False
    return os.path.abspath(file).startswith(folder.rstrip(os.sep) + os.sep)


def is_gevent_patched():
    monkey = sys.modules.get("gevent.monkey")
    return bool(monkey and monkey.is_anything_patched())


def unique(items):
    return list(dict.fromkeys(items))


# Making the instance


def instantiate(module, request):
    from pypushflow.Workflow import Workflow

    name, found = find(module, request.get("class"), Workflow)
    if isinstance(found, Workflow):
        return found
    if not callable(found):
        raise Refusal("not_a_workflow", found=type(found).__name__)
    try:
        args, kwargs = arguments(found, name, request["args"], request["kwargs"])
        workflow = found(*args, **kwargs)
    except BaseException as error:
        raise Refusal("constructor_failed", **said(error))
    if not isinstance(workflow, Workflow):
        raise Refusal("not_a_workflow", found=type(workflow).__name__)
    for attribute in ("startActor", "stopActor"):
        if getattr(workflow, attribute, None) is None:
            raise Refusal("no_attribute", attribute=attribute)
    return workflow


def find(module, name, base):
    own = [
        key
        for key, value in vars(module).items()
        if inspect.isclass(value) and issubclass(value, base) and value.__module__ == module.__name__
    ]
    if name is None:
        if len(own) == 1:
            return own[0], getattr(module, own[0])
        raise Refusal("which_class", known=own)
    found = module
    for part in name.split("."):
        found = getattr(found, part, None)
        if found is None:
            raise Refusal("no_class", known=own)
    return name.rpartition(".")[2], found


def arguments(constructor, name, args, kwargs):
    """What was given, and a name where the constructor asks for one and got none."""
    parameters = inspect.signature(constructor).parameters
    names = [key for key, one in parameters.items() if one.kind in (one.POSITIONAL_ONLY, one.POSITIONAL_OR_KEYWORD)]
    kinds = {one.kind for one in parameters.values()}
    if "name" in kwargs or "name" in names[: len(args)]:
        return args, kwargs
    wanted = parameters.get("name")
    if wanted is not None:
        if wanted.default is not wanted.empty:
            return args, kwargs
        if wanted.kind is wanted.POSITIONAL_ONLY:
            return args + [name], kwargs
        return args, dict(kwargs, name=name)
    if inspect.Parameter.VAR_KEYWORD in kinds and (inspect.Parameter.VAR_POSITIONAL not in kinds or not args):
        return args, dict(kwargs, name=name)
    if inspect.Parameter.VAR_POSITIONAL in kinds and not args:
        return [name], kwargs
    return args, kwargs


# Walking the instance


class Walk:
    """Everything that can be reached from the start actor, as plain data; actors and scopes become numbers."""

    def __init__(self, workflow):
        self.workflow = workflow
        self.scopes = [workflow]
        self.nodes = []
        self.numbers = {}
        self.facts = {}
        self.warnings = []

    def answer(self):
        start = self.number(self.workflow.startActor)
        self.number(self.workflow.stopActor)
        seen = 0
        scopes_seen = 0
        scope_facts = []
        while seen < len(self.nodes) or scopes_seen < len(self.scopes):
            if seen < len(self.nodes):
                self.facts[seen] = self.describe(self.nodes[seen])
                seen += 1
            else:
                scope_facts.append(self.describe_scope(self.scopes[scopes_seen]))
                scopes_seen += 1
        for number, actor in enumerate(self.nodes):
            self.facts[number]["scope"] = self.scope_of(actor)
        self.check_overrides(self.workflow, "Workflow", "the workflow", None)
        self.report_unreached()
        return {
            "name": str(self.workflow.name),
            "start": start,
            "scopes": scope_facts,
            "nodes": [self.facts[number] for number in range(len(self.nodes))],
            "order": self.order(),
            "warnings": self.warnings,
        }

    def warn(self, text, node=None):
        self.warnings.append({"text": text, "node": node})

    def number(self, actor):
        actor = self.resolve_stop(actor)
        if id(actor) not in self.numbers:
            self.numbers[id(actor)] = len(self.nodes)
            self.nodes.append(actor)
        return self.numbers[id(actor)]

    def resolve_stop(self, actor):
        """A stop actor inside a submodel hands its payload to the stop actor of the model around it."""
        from pypushflow.StopActor import StopActor
        from pypushflow.Submodel import Submodel

        for _ in range(1000):
            if not isinstance(actor, StopActor) or actor is self.workflow.stopActor:
                return actor
            if actor.parent is not None and not isinstance(actor.parent, Submodel):
                return actor
            outer = getattr(getattr(actor.errorHandler, "errorHandler", None), "stopActor", None)
            if outer is None:
                return actor
            actor = outer
        return actor

    def scope(self, owner):
        """The number of a submodel (or of the workflow)."""
        for number, scope in enumerate(self.scopes):
            if scope is owner:
                return number
        self.scopes.append(owner)
        return len(self.scopes) - 1

    def scope_of(self, actor):
        """Where an actor stands; asked when all scopes are known."""
        from pypushflow.Submodel import Port
        from pypushflow.Submodel import Submodel
        from pypushflow.Workflow import Workflow

        if isinstance(actor, Port):
            return self.scope(actor.errorHandler) if isinstance(actor.errorHandler, Submodel) else 0
        if actor is self.workflow.startActor or actor is self.workflow.stopActor:
            return 0
        parent = getattr(actor, "parent", None)
        if isinstance(parent, Workflow):
            return 0
        if isinstance(parent, Submodel):
            return self.scope(parent)
        # An actor without a parent: it belongs to the model that keeps it as an attribute.
        for number, scope in enumerate(self.scopes):
            if any(value is actor for value in held_values(scope)):
                return number
        return 0

    def describe(self, actor):
        from pypushflow.Submodel import Port

        if isinstance(actor, Port):
            return self.describe_port(actor)
        node = self.numbers[id(actor)]
        name = str(getattr(actor, "name", type(actor).__name__))
        kind, base = self.kind(actor, node)
        if kind == "router":
            links = self.router_links(actor, node)
        else:
            links = [{"to": self.number(to)} for to in getattr(actor, "listDownStreamActor", [])]
        if kind == "python":
            errors = {"to": [self.number(to) for to in actor.listErrorHandler]}
            if actor.parentErrorHandler is not None:
                errors["bubble_to"] = self.bubbling(actor.parentErrorHandler, node)
            what = {"script": self.script(actor, node), "errors": errors}
        elif kind == "router":
            what = {"item": self.router_item(actor, node)}
        elif kind == "join":
            what = {"arrivals": actor.numberOfThreads}
        elif kind == "status":
            what = {"word": str(actor.status)}
        else:
            what = None
        if base:
            self.check_overrides(actor, base, 'actor "%s"' % name, node)
        self.register_parent(actor)
        return {"name": name, "what": kind if what is None else {kind: what}, "links": links}

    def register_parent(self, actor):
        from pypushflow.Submodel import Submodel

        parent = getattr(actor, "parent", None)
        if isinstance(parent, Submodel):
            self.scope(parent)

    def kind(self, actor, node):
        """The kind of an actor and the pypushflow class that it is an instance of."""
        for name, kind in (
            ("PythonActor", "python"),
            ("RouterActor", "router"),
            ("JoinActor", "join"),
            ("ErrorHandler", "error-handler"),
            ("RequestStatus", "status"),
            ("StartActor", "start"),
            ("StopActor", "stop"),
            ("ForkActor", "fork"),
            ("AbstractActor", "fork"),
        ):
            base = getattr(importlib.import_module("pypushflow." + name), name)
            if not isinstance(actor, base):
                continue
            if kind == "start" and actor is not self.workflow.startActor:
                kind = "fork"
            elif kind == "stop" and actor is not self.workflow.stopActor:
                self.warn("it is a stop actor whose payload pypushflow never returns: it ends its branch", node)
                kind = "fork"
            elif kind == "status" and actor.status is None:
                kind = "fork"
            return kind, name
        self.warn("%s is no actor that pushflow knows: written as a fork" % class_name(actor), node)
        return "fork", None

    def describe_port(self, port):
        """A port: the submodel that it belongs to, the name it has there, where it leads."""
        owner = port.errorHandler
        links = [{"to": self.number(to)} for to in port.listActor]
        trigger = port.inPortTrigger
        if trigger is not None:
            target = getattr(trigger, "__self__", None)
            if target is not None and getattr(trigger, "__name__", "") == "trigger":
                links.append({"to": self.number(target)})
            else:
                self.warn('the trigger %r of port "%s" is left out' % (trigger, port.name))
        self.check_overrides(port, "Port", 'port "%s"' % port.name, None)
        for name, other in getattr(owner, "dictPort", {}).items():
            if other is port:
                self.scope(owner)
                return {"name": str(name), "what": "port", "links": links}
        self.warn("it is a port of no submodel: written as a fork", self.numbers[id(port)])
        return {"name": str(port.name), "what": "fork", "links": links}

    def describe_scope(self, scope):
        facts = {
            "name": str(scope.name),
            "parent": None,
            "ports": [],
            "on_error": [self.number(to) for to in scope.listOnErrorActor],
        }
        if scope is not self.workflow:
            facts["parent"] = 0 if scope.parent is None else self.scope(scope.parent)
            facts["ports"] = [str(name) for name in scope.dictPort]
            self.check_overrides(scope, "Submodel", 'submodel "%s"' % facts["name"], None)
        return facts

    def bubbling(self, handler, node):
        """The models whose error actors get an error, in order."""
        from pypushflow.Submodel import Submodel
        from pypushflow.Workflow import Workflow

        chain = []
        while handler is not None and all(handler is not self.scopes[number] for number in chain):
            if not isinstance(handler, (Submodel, Workflow)):
                self.warn("its error handler %s is unknown and left out" % class_name(handler), node)
                break
            chain.append(self.scope(handler))
            handler = handler.errorHandler if isinstance(handler, Submodel) else None
        return chain

    def script(self, actor, node):
        if not isinstance(actor.script, str):
            self.warn("its script is %r, which pypushflow cannot import either" % (actor.script,), node)
            return str(actor.script)
        stem, extension = os.path.splitext(actor.script)
        if extension not in (".py", ""):
            self.warn('pypushflow takes "%s" for a file\'s ending and imports "%s"' % (extension, stem), node)
            return stem
        return actor.script

    def router_item(self, actor, node):
        item = actor.itemName
        if isinstance(item, str):
            return {"text": item}
        if isinstance(item, int) and 0 <= item < 2**63:
            return {"int": int(item)}
        self.warn("its item is %r, which is no key of a payload" % (item,), node)
        return {"text": str(item)}

    def router_links(self, actor, node):
        links = []
        for port, targets in actor.dictValues.items():
            value = self.port_value(port, node)
            if value is not None:
                links.extend({"to": self.number(to), "port": value} for to in targets)
        return links

    def port_value(self, port, node):
        """The value that opens a port, None for a port that nothing opens or that the file cannot say."""
        if isinstance(port, str):
            if port == "None":
                self.warn('its port "None" is left out: pypushflow never opens it (None opens "null")', node)
                return None
            return {"text": str.__str__(port)}
        if isinstance(port, bool):
            self.warn("its port %r is opened by the number %d, not by %r" % (port, port, port), node)
            return {"int": int(port)}
        if isinstance(port, float) and port.is_integer():
            port = int(port)
        if isinstance(port, int) and -(2**63) <= port < 2**63:
            return {"int": int(port)}
        self.warn("its port %r is left out: a port is a string or an integer" % (port,), node)
        return None

    def check_overrides(self, thing, base, who, node):
        """Says which of pypushflow's own methods a class replaces: what they do cannot be seen from here."""
        module = "Submodel" if base == "Port" else base
        original = getattr(importlib.import_module("pypushflow." + module), base)
        names = [name for name in BEHAVIOUR.get(base, ACTOR_BEHAVIOUR) if is_overridden(thing, name, original)]
        if not names:
            return
        it = "it" if node is not None else who
        text = "%s is a %s, which overrides %s: what that does is not in this file"
        self.warn(text % (it, class_name(thing), ", ".join(names)), node)

    def report_unreached(self):
        from pypushflow.Submodel import Port
        from pypushflow.ThreadCountingActor import ThreadCountingActor

        known = list(self.workflow.getListActorRef())
        for scope in self.scopes:
            held = [value for value in held_values(scope) if isinstance(value, ThreadCountingActor)]
            known.extend(value for value in held if not isinstance(value, Port))
        reported = set()
        for actor in known:
            if id(self.resolve_stop(actor)) not in self.numbers and id(actor) not in reported:
                reported.add(id(actor))
                self.warn('actor "%s" is left out: nothing leads to it' % actor.name)

    def order(self):
        """The actors as they were made, so that the file reads like the class."""
        made = {id(actor): place for place, actor in enumerate(self.workflow.getListActorRef())}
        return sorted(range(len(self.nodes)), key=lambda number: (made.get(id(self.nodes[number]), len(made)), number))


ACTOR_BEHAVIOUR = ("_execute", "trigger")
BEHAVIOUR = {
    "PythonActor": ACTOR_BEHAVIOUR
    + (
        "resultHandler",
        "errorHandler",
        "compileDownstreamData",
        "compileDownstreamErrorData",
        "_triggerDownStreamActors",
        "_triggerErrorHandlers",
        "pool",
    ),
    "Submodel": ("triggerOnError", "setStatus", "pool", "stop", "stop_exception"),
    "Workflow": ("run", "triggerOnError", "setStatus", "endWorkflow", "pool", "stop", "stop_exception"),
}


def is_overridden(thing, name, original):
    if callable(getattr(thing, "__dict__", {}).get(name)):
        return True
    return getattr(type(thing), name, None) is not getattr(original, name, None)


def held_values(model):
    """The attributes of a model, and what is in those that are lists, tuples and dicts."""
    for key, value in vars(model).items():
        if key == "listActorRef":
            continue
        if isinstance(value, dict):
            yield from value.values()
        elif isinstance(value, (list, tuple)):
            yield from value
        else:
            yield value


def class_name(thing):
    kind = type(thing)
    return kind.__module__ + "." + kind.__qualname__


if __name__ == "__main__":
    # The answer goes to the standard output that the process was started with; nothing else can write there.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    try:
        reply = main(json.loads(sys.argv[1]))
    except Refusal as refusal:
        reply = refusal.details
    json.dump(reply, answers)
    answers.flush()
    sys.stdout.flush()
    sys.stderr.flush()
    # Threads that the module started must not keep this process alive.
    os._exit(0)
