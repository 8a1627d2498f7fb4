//! Rewrites what a pypushflow instance may have and a workflow file may not, into something that does the same.

use std::collections::HashSet;

use super::instance::{Instance, Link, What};

/// Rewrites the instance.
pub(super) fn rewrite(instance: &mut Instance) {
    spell_out_unusual_bubbling(instance);
    put_a_fork_behind_start(instance);
    put_forks_between_doubled_links(instance);
    keep_error_actors_inside(instance);
}

/// In the file, errors bubble from a scope to the one around it. In pypushflow any model can be named as the error
/// handler; where that reaches other actors than the file's rule, they are named one by one.
fn spell_out_unusual_bubbling(instance: &mut Instance) {
    let reached = |instance: &Instance, scopes: &mut dyn Iterator<Item = usize>| -> Vec<usize> {
        scopes.flat_map(|scope| instance.scopes[scope].on_error.clone()).collect()
    };
    for number in 0..instance.nodes.len() {
        let What::Python { bubbles_to: Some(chain), .. } = &instance.nodes[number].what else { continue };
        let here = reached(instance, &mut chain.iter().copied());
        let by_the_rule = reached(instance, &mut instance.outwards(instance.nodes[number].scope));
        if here == by_the_rule {
            continue;
        }
        if let What::Python { on_error, bubbles_to, .. } = &mut instance.nodes[number].what {
            on_error.extend(here);
            *bubbles_to = None;
        }
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
        if let What::Python { on_error, .. } = &mut instance.nodes[number].what {
            let targets = std::mem::take(on_error);
            let targets = without_doubles(instance, scope, targets);
            if let What::Python { on_error, .. } = &mut instance.nodes[number].what {
                *on_error = targets;
            }
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

/// A scope's `on_error` names actors of that scope; where pypushflow's leads elsewhere, a fork inside leads there.
fn keep_error_actors_inside(instance: &mut Instance) {
    for scope in 0..instance.scopes.len() {
        let mut targets = std::mem::take(&mut instance.scopes[scope].on_error);
        for target in &mut targets {
            let node = &instance.nodes[*target];
            if node.scope != scope || node.what == What::Port {
                let name = format!("errors to {}", node.name);
                *target = instance.add_fork(&name, scope, vec![*target]);
            }
        }
        instance.scopes[scope].on_error = targets;
    }
}

fn for_each_target(instance: &mut Instance, mut visit: impl FnMut(&mut usize)) {
    for node in &mut instance.nodes {
        node.links.iter_mut().for_each(|link| visit(&mut link.to));
        if let What::Python { on_error, .. } = &mut node.what {
            on_error.iter_mut().for_each(&mut visit);
        }
    }
    for scope in &mut instance.scopes {
        scope.on_error.iter_mut().for_each(&mut visit);
    }
}
