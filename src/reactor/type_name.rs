//! Readable names of types. Pure.

/// Returns a type's name without the paths of its parts. Several types may have one such name:
/// what is counted by it, for people to read, adds them up.
pub(super) fn short_name(full: &str) -> String {
    let ends_word = |c: char| !(c.is_alphanumeric() || c == '_' || c == ':');
    full.split_inclusive(ends_word).filter_map(|part| part.rsplit("::").next()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lose_their_paths() {
        assert_eq!(short_name("echo::Echo"), "Echo");
        assert_eq!(short_name("a::b::Lines<a::Chat, &str>"), "Lines<Chat, &str>");
        assert_eq!(short_name("alloc::boxed::Box<dyn a::P<b::F>>"), "Box<dyn P<F>>");
        assert_eq!(short_name("it::main::{{closure}}"), "{{closure}}");
    }
}
