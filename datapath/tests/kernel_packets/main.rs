//! Real packets between pods, through a node whose datapath judges them.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod attacks;
mod changes;
#[path = "../common/mod.rs"]
mod common;
mod group;
mod host;
mod kills;
mod lifetime;
mod local;
mod overlay;
mod scene;
mod traffic;
mod verdicts;

use std::process::ExitCode;

use porin_datapath::{AttachMode, Config, Loader};
use porin_testbed::suite::{Outcome, Test, run};

use crate::common::role;

/// A test under some configuration.
type Body = fn(&Config) -> Outcome;

/// Tests that run with every loader and either way to attach.
const EVERYWHERE: [(&str, Body); 17] = [
    ("flow_counts_each_packet_once", local::counted),
    ("proof_is_for_its_packet_alone", local::altered),
    ("delivery_past_the_stack_obeys", local::delivered),
    ("packets_obey_the_moment", local::moment),
    ("verdicts_are_the_policys", verdicts::of_policy),
    ("ac_12_nothing_passes_before_a_policy", verdicts::not_ready),
    ("forged_sources_are_dropped", verdicts::forged),
    ("ac_13_change_stops_a_stream_at_once", changes::stream),
    ("adoption_leaves_no_gap", lifetime::adoption_under_traffic),
    ("host_is_judged_at_its_devices", host::judged),
    (
        "ac_49_host_policy_of_the_dead_reverts",
        host::trial_of_the_dead,
    ),
    ("host_is_adopted", host::adopted),
    ("host_outlives_its_devices", host::device_went),
    ("host_is_never_half_attached", host::half_attached),
    ("overlay_carries_the_identity", overlay::identity),
    ("group_of_processes_is_judged", group::judged),
    ("ac_22_forged_tunnel_claims_are_dropped", overlay::claims),
];

/// Tests that run once, as the build prefers it.
const ONCE: &[(&str, Body)] = &[
    ("ac_17_fragments_and_headers", attacks::fragments),
    ("ac_18_icmp_is_no_way_around", attacks::icmp),
    (
        "ac_19_protocols_have_a_rule_or_a_reason",
        attacks::protocols,
    ),
    ("ac_20_addresses_that_mean_another", attacks::addresses),
    ("ac_21_segments_of_no_connection", attacks::segments),
    ("ac_22_forged_mark_is_written_over", attacks::mark),
    ("deny_rule_is_named", verdicts::deny_rule),
    ("peers_outside_are_known_by_prefix", verdicts::outside),
    ("large_packets_pass_whole", verdicts::large),
    ("ac_13_relabel_stops_what_runs", changes::relabel),
    (
        "ac_11_replaced_pod_gets_nothing_of_its_forerunner",
        changes::replaced,
    ),
    ("ac_15_full_table_keeps_the_old_policy", changes::full),
    ("swap_of_ten_thousand_entries_never_mixes", changes::swap),
    ("killed_process_leaves_enforcement", lifetime::killed),
    (
        "killed_start_can_be_repeated",
        lifetime::killed_while_starting,
    ),
    ("pins_of_other_limits_are_refused", lifetime::other_limits),
    ("ac_48_two_instances_do_not_meet", lifetime::two_instances),
    ("failed_addition_leaves_nothing", lifetime::failed_addition),
    ("pod_that_went_is_forgotten", lifetime::device_went),
    ("closing_leaves_nothing", lifetime::close),
    ("ac_49_host_policy_has_to_be_confirmed", host::trial),
    ("nobody_takes_the_hosts_or_a_pods_address", host::forged),
    ("host_judges_pods_at_their_devices", host::toward_pods),
    ("host_that_cannot_be_is_as_before", host::refused),
    (
        "nobody_joins_a_conversation_of_the_host",
        host::forged_into_a_flow,
    ),
    ("ac_22_pods_neither_tunnel_nor_mark", overlay::from_inside),
    (
        "ac_22_mark_of_the_tunnel_counts_there_alone",
        overlay::mark_of_the_tunnel,
    ),
    ("names_of_one_node_stay_there", overlay::local_names),
    (
        "tunnels_pass_a_host_that_is_shut",
        overlay::through_the_host,
    ),
    ("overlay_is_adopted", overlay::adopted),
    ("group_is_known_by_its_name", group::named),
    ("ac_22_a_group_does_not_tunnel", group::tunnels_not),
    ("group_answers_as_the_host", group::answers),
    ("group_is_adopted", group::adopted),
];

fn main() -> ExitCode {
    if let Some((role, arguments)) = role() {
        let played = match role.as_str() {
            "lock-out" => host::lock_out(&arguments),
            "host-turns" => host::turns(&arguments),
            "turns" => kills::churn(&arguments),
            "member" => group::member(&arguments),
            _ => lifetime::play(&role, &arguments),
        };
        return match played {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("{role}: {error}");
                ExitCode::FAILURE
            }
        };
    }
    let mut tests = Vec::new();
    for loader in Loader::available() {
        for attach in [AttachMode::Auto, AttachMode::Clsact] {
            let config = Config {
                loader: *loader,
                attach,
                ..scene::config()
            };
            for (text, body) in EVERYWHERE {
                let mode = format!("{attach:?}").to_lowercase();
                let name = format!("kernel_{loader}_{mode}_{text}");
                let config = config.clone();
                tests.push(Test::new(&name, move || body(&config)));
            }
        }
    }
    let lacking = Loader::available()
        .is_empty()
        .then(|| "this build has no loader".to_owned());
    for attach in [AttachMode::Auto, AttachMode::Clsact] {
        let config = Config {
            attach,
            ..kills::config()
        };
        let mode = format!("{attach:?}").to_lowercase();
        let name = format!("kernel_ac_14_killed_anywhere_{mode}");
        let test = Test::new(&name, move || kills::killed_anywhere(&config));
        tests.push(test.unless(lacking.clone()));
        let config = Config {
            attach,
            ..scene::config()
        };
        let name = format!("kernel_ac_49_killed_anywhere_{mode}");
        let test = Test::new(&name, move || host::killed_anywhere(&config));
        tests.push(test.unless(lacking.clone()));
    }
    for &(text, body) in ONCE {
        let name = format!("kernel_{text}");
        let test = Test::new(&name, move || body(&scene::config()));
        tests.push(test.unless(lacking.clone()));
    }
    run(tests)
}
