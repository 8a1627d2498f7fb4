//! Rewrites what a pypushflow instance may have and a workflow file may not, into something that does the same.

use std::collections::HashSet;

use super::instance::{ErrorLinks, Instance, Link, Warning, What};

/// Rewrites the instance.
pub(super) fn rewrite(instance: &mut Instance) {
    spell_out_unusual_bubbling(instance);
    give_routers_the_errors_of_the_tasks_before(instance);
    leave_out_what_nothing_leads_to(instance);
    put_a_fork_behind_start(instance);
    put_forks_between_doubled_links(instance);
    turn_two_way_ports_into_forks(instance);
}

/// In the file, errors bubble from a scope to the one around it. In pypushflow any model can be named as the error
/// handler; where that reaches other actors than the file's rule, they are named one by one.
fn spell_out_unusual_bubbling(instance: &mut Instance) {
    let reached = |instance: &Instance, scopes: &mut dyn Iterator<Item = usize>| -> Vec<usize> {
        scopes.flat_map(|scope| instance.scopes[scope].on_error.clone()).collect()
    };
    for number in 0..instance.nodes.len() {
        let Some(ErrorLinks { bubble_to: Some(chain), .. }) = instance.nodes[number].what.errors() else { continue };
        let here = reached(instance, &mut chain.iter().copied());
        let by_the_rule = reached(instance, &mut instance.outwards(instance.nodes[number].scope));
        if here == by_the_rule {
            continue;
        }
        if let Some(errors) = instance.nodes[number].what.errors_mut() {
            errors.to.extend(here);
            errors.bubble_to = None;
        }
    }
}

/// A router without `other` fails when it has no port for a value. In pypushflow that is an error of the task before
/// it; in the file it is the router's own, and goes where the task's errors go. Several tasks must agree on that.
fn give_routers_the_errors_of_the_tasks_before(instance: &mut Instance) {
    let is_other = |link: &Link| link.port == Some(super::instance::Value::Text("other".into()));
    for number in 0..instance.nodes.len() {
        let node = &instance.nodes[number];
        if !matches!(node.what, What::Router { .. }) || node.links.iter().any(is_other) {
            continue;
        }
        let mut tasks = tasks_before(instance, number).into_iter();
        let errors_of = |task: usize| instance.nodes[task].what.errors();
        let Some(errors) = tasks.next().and_then(errors_of) else { continue };
        // Bubbling is the same only in the same scope.
        let scope = |task: usize| errors.bubble_to.is_none() || instance.nodes[task].scope == node.scope;
        if !tasks_before(instance, number).iter().all(|&task| errors_of(task) == Some(errors) && scope(task)) {
            continue;
        }
        let errors = errors.clone();
        if let Some(own) = instance.nodes[number].what.errors_mut() {
            *own = errors;
        }
    }
}

/// The python actors whose results lead to a node, straight or through what is no task.
fn tasks_before(instance: &Instance, number: usize) -> Vec<usize> {
    let mut tasks = Vec::new();
    let mut seen = HashSet::from([number]);
    let mut open = vec![number];
    while let Some(to) = open.pop() {
        for (from, node) in instance.nodes.iter().enumerate() {
            if node.links.iter().any(|link| link.to == to) && seen.insert(from) {
                match node.what {
                    What::Python { .. } => tasks.push(from),
                    _ => open.push(from),
                }
            }
        }
    }
    tasks
}

/// An actor that nothing leads to is a mistake in the file. In pypushflow it may be there, an error actor for instance
/// of a model that no error bubbles to.
fn leave_out_what_nothing_leads_to(instance: &mut Instance) {
    const STOP: usize = 1;
    let mut reached = vec![false; instance.nodes.len()];
    let mut bubbled = vec![false; instance.scopes.len()];
    let mut open = vec![instance.start];
    while let Some(number) = open.pop() {
        if std::mem::replace(&mut reached[number], true) {
            continue;
        }
        let node = &instance.nodes[number];
        open.extend(node.links.iter().map(|link| link.to));
        let Some(errors) = node.what.errors() else { continue };
        open.extend(&errors.to);
        for scope in instance.outwards(node.scope).filter(|_| errors.bubble_to.is_some()) {
            bubbled[scope] = true;
            open.extend(&instance.scopes[scope].on_error);
        }
    }
    for (scope, bubbled) in instance.scopes.iter_mut().zip(bubbled) {
        if !bubbled {
            scope.on_error.clear();
        }
    }
    instance.order.retain(|&number| reached[number] || number == STOP);
    instance.warnings.retain(|warning| warning.node.is_none_or(|node| reached[node]));
    for (node, _) in instance.nodes.iter_mut().zip(&reached).filter(|(_, reached)| !**reached) {
        node.links.clear();
        let text = match node.what {
            What::Port => continue,
            What::Stop => "nothing leads to stop: pypushflow returns None, pushflow refuses such a file".into(),
            _ => format!("actor \"{}\" is left out: nothing leads to it", node.name),
        };
        if let Some(errors) = node.what.errors_mut() {
            *errors = ErrorLinks::default();
        }
        instance.warnings.push(Warning { text, node: None });
    }
}

/// Nothing leads to `start` in the file. Where something leads to pypushflow's start actor, a fork takes its place.
fn put_a_fork_behind_start(instance: &mut Instance) {
    let start = instance.start;
    let mut led_to = false;
    for_each_target(instance, |target| led_to |= *target == start);
    if !led_to {
        return;
    }
    let name = instance.nodes[start].name.clone();
    let fork = instance.nodes.len();
    for_each_target(instance, |target| {
        if *target == start {
            *target = fork;
        }
    });
    instance.add_fork(&name, 0, Vec::new());
    instance.nodes[fork].links =
        std::mem::replace(&mut instance.nodes[start].links, vec![Link { to: fork, port: None }]);
}

/// The same link twice triggers twice in pypushflow and is an error in the file: the second goes through a fork.
fn put_forks_between_doubled_links(instance: &mut Instance) {
    for number in 0..instance.nodes.len() {
        let scope = instance.nodes[number].scope;
        let mut links = std::mem::take(&mut instance.nodes[number].links);
        let mut seen = HashSet::new();
        for link in &mut links {
            if !seen.insert(link.clone()) {
                link.to = again(instance, scope, link.to);
            }
        }
        instance.nodes[number].links = links;
        let targets = instance.nodes[number].what.errors_mut().map(|errors| std::mem::take(&mut errors.to));
        let targets = without_doubles(instance, scope, targets.unwrap_or_default());
        if let Some(errors) = instance.nodes[number].what.errors_mut() {
            errors.to = targets;
        }
    }
    for scope in 0..instance.scopes.len() {
        let targets = std::mem::take(&mut instance.scopes[scope].on_error);
        instance.scopes[scope].on_error = without_doubles(instance, scope, targets);
    }
}

fn without_doubles(instance: &mut Instance, scope: usize, mut targets: Vec<usize>) -> Vec<usize> {
    let mut seen = HashSet::new();
    for target in &mut targets {
        if !seen.insert(*target) {
            *target = again(instance, scope, *target);
        }
    }
    targets
}

fn again(instance: &mut Instance, scope: usize, target: usize) -> usize {
    let name = format!("{} again", instance.nodes[target].name);
    instance.add_fork(&name, scope, vec![target])
}

/// A port of the file is passed one way, into its submodel or out of it, and In and Out the way that they say. Any
/// other port of pypushflow's becomes a fork inside.
fn turn_two_way_ports_into_forks(instance: &mut Instance) {
    for number in 0..instance.nodes.len() {
        let node = &instance.nodes[number];
        if node.what != What::Port {
            continue;
        }
        let inside = |scope: usize| instance.is_within(scope, node.scope);
        let mut sources: Vec<bool> = Vec::new();
        for from in &instance.nodes {
            let links = from.links.iter().map(|link| link.to);
            let errors = from.what.errors().into_iter().flat_map(|errors| errors.to.iter().copied());
            sources.extend(links.chain(errors).filter(|&to| to == number).map(|_| inside(from.scope)));
        }
        for (scope, facts) in instance.scopes.iter().enumerate() {
            sources.extend(facts.on_error.iter().filter(|&&to| to == number).map(|_| inside(scope)));
        }
        let targets: Vec<bool> = node.links.iter().map(|link| inside(instance.nodes[link.to].scope)).collect();
        let is_entry =
            node.name != "Out" && sources.iter().all(|inside| !inside) && targets.iter().all(|inside| *inside);
        let is_exit = node.name != "In" && sources.iter().all(|inside| *inside) && targets.iter().all(|inside| !inside);
        if is_entry || is_exit {
            continue;
        }
        let (scope, name) = (node.scope, node.name.clone());
        instance.scopes[scope].ports.retain(|port| *port != name);
        instance.nodes[number].what = What::Fork;
    }
}

fn for_each_target(instance: &mut Instance, mut visit: impl FnMut(&mut usize)) {
    for node in &mut instance.nodes {
        node.links.iter_mut().for_each(|link| visit(&mut link.to));
        if let Some(errors) = node.what.errors_mut() {
            errors.to.iter_mut().for_each(&mut visit);
        }
    }
    for scope in &mut instance.scopes {
        scope.on_error.iter_mut().for_each(&mut visit);
    }
}
