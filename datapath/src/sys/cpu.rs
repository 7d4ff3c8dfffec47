//! How many copies a per-CPU value has.

use std::sync::OnceLock;

/// How many CPUs the machine can have: the number of copies in a per-CPU value.
///
/// Source: `/sys/devices/system/cpu/possible`, `Documentation/admin-guide/cputopology.rst`.
#[must_use]
pub fn possible_cpus() -> usize {
    static COUNT: OnceLock<usize> = OnceLock::new();
    *COUNT.get_or_init(|| {
        std::fs::read_to_string("/sys/devices/system/cpu/possible")
            .ok()
            .and_then(|text| cpu_list_len(text.trim()))
            .unwrap_or(1)
    })
}

/// How many CPUs a kernel CPU list such as `0-3,8` names.
fn cpu_list_len(list: &str) -> Option<usize> {
    list.split(',').try_fold(0, |sum, range| {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let (first, last): (usize, usize) = (first.parse().ok()?, last.parse().ok()?);
        Some(sum + last.checked_sub(first)? + 1)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_lists_are_counted() {
        assert_eq!(cpu_list_len("0"), Some(1));
        assert_eq!(cpu_list_len("0-3"), Some(4));
        assert_eq!(cpu_list_len("0-3,8,10-11"), Some(7));
        assert_eq!(cpu_list_len("3-1"), None);
        assert_eq!(cpu_list_len(""), None);
    }
}
