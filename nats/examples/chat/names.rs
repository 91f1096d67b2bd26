//! Unique names over all nodes, without a coordinator: a node that wants a name claims it before
//! all others, and the node that has it objects.
//!
//! Silence for a while is consent. Of two nodes that claim the same name at once each hears the
//! other's claim, and the one with the lower id keeps its own: the tie-break.
//!
//! No question is asked of a node that cannot be reached, so a name may be given away twice in a
//! network partition (split brain), or in a slow network. Nodes tell each other of each name that
//! they give away, of all of them when they are connected again or hear of each other after a
//! silence, and of each in turn all the time (periodic re-announcement, a form of anti-entropy): a
//! partition that was too short to be noticed may have lost what was told. Then the same tie-break
//! says which member has to choose another.

use super::node_id::NodeId;
use std::collections::BTreeMap;
use std::ops::Bound;

/// In how many calls of [`Names::next_in_turn`] all names have their turn: a minute, at the chat's
/// interval. Names that were given away twice are rare, and each name that is told costs all other
/// nodes a look at theirs.
const CALLS_PER_ROUND: usize = 30;

/// How many names have their turn at once, at least: so that a small node tells all of its names
/// each time.
const TURNS_MIN: usize = 10;

/// The names of a node's own members, by their keys. `M` identifies a member.
pub(crate) struct Names<M> {
    node: NodeId,
    names: BTreeMap<String, Hold<M>>,
    /// The last name that had its turn.
    last_in_turn: String,
}

enum Hold<M> {
    /// Others are asked.
    Claimed(M),
    Held(M),
}

/// What a node does when it hears of a name on another node.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Answer<M> {
    /// The name is not in use here.
    Nothing,
    /// It is in use here, and stays so: the other node is told.
    Object,
    /// A member here loses it, or does not get it.
    GiveUp(M),
}

impl<M: Copy + Eq> Names<M> {
    pub(crate) fn new(node: NodeId) -> Self {
        Self { node, names: BTreeMap::new(), last_in_turn: String::new() }
    }

    /// A member wants a name. Returns false if another one of this node has it.
    pub(crate) fn claim(&mut self, key: &str, member: M) -> bool {
        let is_free = !self.names.contains_key(key);
        if is_free {
            self.names.insert(key.to_owned(), Hold::Claimed(member));
        }
        is_free
    }

    /// Nobody has objected. Returns false if the member has given the name up meanwhile.
    pub(crate) fn grant(&mut self, key: &str, member: M) -> bool {
        let Some(hold) = self.names.get_mut(key) else { return false };
        let is_claimed = matches!(hold, Hold::Claimed(it) if *it == member);
        if is_claimed {
            *hold = Hold::Held(member);
        }
        is_claimed
    }

    /// A member leaves, or another node has objected to its claim.
    pub(crate) fn release(&mut self, key: &str, member: M) {
        let Some(Hold::Claimed(holder) | Hold::Held(holder)) = self.names.get(key) else { return };
        if *holder == member {
            self.names.remove(key);
        }
    }

    /// Another node claims a name.
    pub(crate) fn claimed_elsewhere(&mut self, key: &str, node: NodeId) -> Answer<M> {
        match self.names.get(key) {
            None => Answer::Nothing,
            Some(Hold::Held(_)) => Answer::Object,
            Some(Hold::Claimed(_)) if self.precedes(node) => Answer::Object,
            Some(Hold::Claimed(member)) => self.give_up(key, *member),
        }
    }

    /// A member of another node has a name.
    pub(crate) fn held_elsewhere(&mut self, key: &str, node: NodeId) -> Answer<M> {
        match self.names.get(key) {
            None => Answer::Nothing,
            Some(Hold::Held(_)) if self.precedes(node) => Answer::Object,
            Some(Hold::Claimed(member) | Hold::Held(member)) => self.give_up(key, *member),
        }
    }

    /// Returns the names that members have.
    pub(crate) fn held(&self) -> impl Iterator<Item = &str> {
        let is_held = |hold: &Hold<M>| matches!(hold, Hold::Held(_));
        self.names.iter().filter(move |(_, hold)| is_held(hold)).map(|(key, _)| key.as_str())
    }

    /// Returns the names that have their turn to be told to the other nodes again: the next ones in
    /// their order, and the first ones after the last.
    pub(crate) fn next_in_turn(&mut self) -> Vec<String> {
        let count = self.names.len().div_ceil(CALLS_PER_ROUND).max(TURNS_MIN);
        let last = self.last_in_turn.as_str();
        let after = (Bound::Excluded(last), Bound::Unbounded);
        let before = (Bound::Unbounded, Bound::Included(last));
        let all = self.names.range::<str, _>(after).chain(self.names.range::<str, _>(before));
        let held = all.filter(|(_, hold)| matches!(hold, Hold::Held(_))).map(|(key, _)| key);
        let turns: Vec<String> = held.take(count).cloned().collect();
        if let Some(last) = turns.last() {
            self.last_in_turn.clone_from(last);
        }
        turns
    }

    #[cfg(test)]
    pub(crate) fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    fn precedes(&self, node: NodeId) -> bool {
        self.node < node
    }

    fn give_up(&mut self, key: &str, member: M) -> Answer<M> {
        self.names.remove(key);
        Answer::GiveUp(member)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOWER: NodeId = NodeId::from_number(1);
    const NODE: NodeId = NodeId::from_number(2);
    const HIGHER: NodeId = NodeId::from_number(3);

    #[test]
    fn a_name_has_one_holder() {
        let mut names = Names::new(NODE);
        assert!(names.claim("ann", 1) && !names.claim("ann", 2));
        assert!(!names.grant("ann", 2) && names.grant("ann", 1) && !names.grant("ann", 1));
        names.release("ann", 2);
        assert_eq!(names.held().collect::<Vec<_>>(), ["ann"]);
        names.release("ann", 1);
        assert!(names.claim("ann", 2));
        assert_eq!(names.held().count(), 0);
    }

    #[test]
    fn all_names_that_are_held_have_their_turn() {
        let mut names = Names::new(NODE);
        assert!(names.next_in_turn().is_empty());
        for member in 0..1000 {
            let key = format!("{member:03}");
            names.claim(&key, member);
            assert!(member % 2 == 0 || names.grant(&key, member));
        }
        let mut told = Vec::new();
        for _ in 0..CALLS_PER_ROUND {
            let turns = names.next_in_turn();
            assert_eq!(turns.len(), 34);
            told.extend(turns);
        }
        told.sort_unstable();
        told.dedup();
        assert!(told.iter().eq(names.held()));
        (0..999).for_each(|member| names.release(&format!("{member:03}"), member));
        assert_eq!([names.next_in_turn(), names.next_in_turn()], [["999"], ["999"]]);
    }

    #[test]
    fn the_lower_node_wins_a_tie_and_a_holder_wins_against_claims() {
        for (other, claimed) in [(LOWER, Answer::GiveUp(1)), (HIGHER, Answer::Object)] {
            let mut names = Names::new(NODE);
            names.claim("ann", 1);
            assert_eq!(names.claimed_elsewhere("ann", other), claimed);
            let mut names = Names::new(NODE);
            names.claim("ann", 1);
            names.grant("ann", 1);
            assert_eq!(names.claimed_elsewhere("ann", other), Answer::Object);
            // After a partition.
            assert_eq!(names.held_elsewhere("ann", other), claimed);
            assert_eq!(names.claimed_elsewhere("bob", other), Answer::Nothing);
        }
        let mut names = Names::new(NODE);
        names.claim("ann", 1);
        assert_eq!(names.held_elsewhere("ann", HIGHER), Answer::GiveUp(1), "it is not held yet");
    }
}
