//! Tables: shared by content, swapped as a whole, full without harm.

use porin_datapath::{ApplyError, Frame, Hook, Limits, Loader, TestPacket};
use porin_flow::{DropReason, TcpFlags};
use porin_identity::IdentityId;
use porin_policy::{Direction, EntryAction, MapState};
use porin_testbed::suite::Outcome;

use crate::node::{A, B, ID_B, at, bare, entry, everything, limits, nothing, open, tcp_port, v4};

pub(crate) fn equal_policies_share_a_table(loader: Loader) -> Outcome {
    open(loader, |node| {
        let dump = node.datapath.endpoints();
        let tables: Vec<_> = dump.iter().map(|endpoint| endpoint.table).collect();
        assert_eq!(tables.len(), 2);
        assert_eq!(tables.first(), tables.last());
        assert_ne!(dump[0].epoch, dump[1].epoch, "epochs are never shared");

        let same = node
            .datapath
            .install(&[(A, &everything(16)), (B, &everything(16))])?;
        assert_eq!((same.changed, same.unchanged, same.built), (0, 2, 0));
        let other = node.datapath.install(&[(A, &everything(17))])?;
        assert_eq!((other.changed, other.built, other.tables), (1, 1, 2));
        let entries: Vec<_> = everything(17).iter().collect();
        assert_eq!(
            node.datapath.policy(A)?,
            entries,
            "read back from the kernel"
        );
        Ok(())
    })
}

pub(crate) fn a_full_table_refuses_and_keeps(loader: Loader) -> Outcome {
    let small = Limits {
        policies: 2,
        policy_entries: 4,
        addresses: 5,
        prefixes: 1,
        ..limits()
    };
    bare(loader, small, |node| {
        for id in [A, B] {
            node.add(id)?;
        }
        node.datapath
            .install(&[(A, &everything(16)), (B, &everything(17))])?;
        node.datapath.set_ready(A)?;
        let before = node.datapath.endpoints();
        let capacity =
            |result: Result<_, ApplyError>| matches!(result, Err(ApplyError::Capacity { .. }));
        let large: MapState = (0..5)
            .map(|port| {
                entry(
                    Direction::Egress,
                    ID_B,
                    tcp_port(port),
                    EntryAction::Deny,
                    30,
                )
            })
            .collect();
        assert!(capacity(node.datapath.install(&[(A, &large)]).map(drop)));
        // Old and new need room side by side.
        assert!(capacity(
            node.datapath.install(&[(A, &everything(18))]).map(drop)
        ));
        assert_eq!(node.datapath.endpoints(), before);
        let frame = Frame::tcp(at(v4(A), 1), at(v4(B), 2), TcpFlags::SYN);
        assert_eq!(
            node.leave(A, &frame).reason(),
            None,
            "the old policy is in force"
        );
        // What exists already can be shared, and frees a table for the next.
        node.datapath.install(&[(A, &everything(17))])?;
        node.datapath.install(&[(A, &everything(18))])?;

        let (one, two) = ("192.0.2.1/32".parse()?, "192.0.2.2/32".parse()?);
        node.datapath.upsert_prefix(one, IdentityId::new(300))?;
        assert!(capacity(
            node.datapath.upsert_prefix(two, IdentityId::new(301))
        ));
        let (one, two) = ("10.1.0.0/16".parse()?, "10.2.0.0/16".parse()?);
        let both = [
            (one, Some(IdentityId::new(300))),
            (two, Some(IdentityId::new(301))),
        ];
        assert!(capacity(node.datapath.apply_prefixes(&both)));
        assert_eq!(
            node.datapath.prefixes().count(),
            1,
            "nothing of a refused change"
        );
        Ok(())
    })
}

pub(crate) fn an_edit_takes_hold_in_place(loader: Loader) -> Outcome {
    open(loader, |node| {
        let to = |peer, action| entry(Direction::Egress, peer, tcp_port(80), action, 30);
        let closed: MapState = [to(IdentityId::new(900), EntryAction::Allow)]
            .into_iter()
            .collect();
        let opened: MapState = closed
            .iter()
            .chain([to(ID_B, EntryAction::Allow)])
            .collect();
        let shut: MapState = closed.iter().chain([to(ID_B, EntryAction::Deny)]).collect();
        node.datapath.install(&[(A, &closed)])?;
        let syn = Frame::tcp(at(v4(A), 1), at(v4(B), 80), TcpFlags::SYN);
        let data = Frame::tcp(at(v4(A), 1), at(v4(B), 80), TcpFlags::ACK);
        let denied = Some(DropReason::POLICY_DENIED);
        assert_eq!(node.leave(A, &syn).reason(), denied);

        let mut old = &closed;
        for (next, frame, reason) in [
            (&opened, &syn, None),
            (&shut, &data, Some(DropReason::POLICY_DENY)),
            (&opened, &data, None),
            (&closed, &data, denied),
        ] {
            let before = node.datapath.endpoints();
            let amended = node.datapath.amend(&[(A, &next.diff(old))])?;
            assert_eq!((amended.changed, amended.tables), (1, 1));
            let after = node.datapath.endpoints();
            assert_eq!(before[0].table, after[0].table, "the same table");
            assert!(before[0].epoch < after[0].epoch, "under a new epoch");
            assert_eq!(before[1], after[1], "nobody else's");
            let entries: Vec<_> = next.iter().collect();
            assert_eq!(node.datapath.policy(A)?, entries);
            assert_eq!(node.leave(A, frame).reason(), reason);
            old = next;
        }
        let unchanged = node.datapath.amend(&[(A, &[])])?;
        assert_eq!((unchanged.changed, unchanged.tables), (1, 0));
        // Nobody takes the edited table for what it was made as.
        node.datapath.amend(&[(A, &opened.diff(&closed))])?;
        node.datapath.install(&[(B, &closed)])?;
        assert_eq!(node.datapath.policy(B)?, closed.iter().collect::<Vec<_>>());
        assert_eq!(node.datapath.policy(A)?, opened.iter().collect::<Vec<_>>());
        Ok(())
    })
}

pub(crate) fn a_table_of_others_is_not_edited(loader: Loader) -> Outcome {
    let small = Limits {
        policy_entries: 3,
        ..limits()
    };
    bare(loader, small, |node| {
        let peer = |number| {
            let peer = IdentityId::new(number);
            entry(
                Direction::Egress,
                peer,
                tcp_port(80),
                EntryAction::Allow,
                30,
            )
        };
        let state =
            |peers: &[u32]| -> MapState { peers.iter().map(|number| peer(*number)).collect() };
        let (one, two) = (state(&[300]), state(&[300, 301]));
        for id in [A, B] {
            node.add(id)?;
            node.datapath.install(&[(id, &one)])?;
        }
        let changes = two.diff(&one);
        let before = node.datapath.endpoints();
        let only_one = node.datapath.amend(&[(A, &changes)])?;
        let different = node.datapath.amend(&[(A, &changes), (B, &[])])?;
        assert_eq!((only_one.left, different.left), (vec![A], vec![A, B]));
        // An entry of any peer has to come with a whole table.
        let open = everything(31).diff(&one);
        assert_eq!(node.datapath.amend(&[(A, &open), (B, &open)])?.left, [A, B]);
        assert_eq!(node.datapath.endpoints(), before, "nothing has happened");

        let both = node.datapath.amend(&[(A, &changes), (B, &changes)])?;
        assert_eq!((both.changed, both.tables), (2, 1));
        for id in [A, B] {
            assert_eq!(node.datapath.policy(id)?, two.iter().collect::<Vec<_>>());
        }
        let full = state(&[300, 301, 302, 303]).diff(&two);
        let full = node.datapath.amend(&[(A, &full), (B, &full)])?;
        assert_eq!(full.left, [A, B], "no room");
        let unknown = node
            .datapath
            .amend(&[(porin_flow::EndpointId::new(99), &changes)]);
        assert!(matches!(unknown, Err(ApplyError::UnknownEndpoint(_))));
        Ok(())
    })
}

pub(crate) fn slots_are_used_again(loader: Loader) -> Outcome {
    let small = Limits {
        policies: 3,
        endpoints: 2,
        ..limits()
    };
    bare(loader, small, |node| {
        for round in 0..20 {
            node.add(A)?;
            node.datapath.install(&[(A, &everything(100 + round))])?;
            node.datapath.install(&[(A, &nothing())])?;
            node.datapath.set_ready(A)?;
            let frame = Frame::tcp(at(v4(A), 1), at(v4(B), 2), TcpFlags::SYN);
            assert_eq!(
                node.leave(A, &frame).reason(),
                Some(DropReason::POLICY_DENIED)
            );
            node.datapath.remove_endpoint(A)?;
        }
        Ok(())
    })
}

pub(crate) fn losses_are_counted(loader: Loader) -> Outcome {
    let small = Limits {
        ring_bytes: 4096,
        ..limits()
    };
    bare(loader, small, |node| {
        node.add(A)?;
        let frame = Frame::tcp(at(v4(A), 1), at(v4(B), 2), TcpFlags::SYN);
        let packet = TestPacket {
            bytes: frame.bytes(),
            ifindex: node.devices[0],
            mark: 0,
        };
        let sent = 500;
        node.datapath.run(Hook::FromEndpoint, &packet, sent)?;
        let delivered = node.events.drain(|_| {});
        let lost = node.events.lost()?;
        assert!(lost.drops > 0 && delivered > 0);
        assert_eq!(delivered as u64 + lost.drops, u64::from(sent));
        assert_eq!(lost.total(), lost.drops);
        let dropped: u64 = node
            .datapath
            .counters()?
            .iter()
            .map(|counter| counter.packets)
            .sum();
        assert_eq!(
            dropped,
            u64::from(sent),
            "drops are counted without their events"
        );
        Ok(())
    })
}

/// One endpoint's old policy is another's new one, in one installation.
pub(crate) fn policies_are_exchanged(loader: Loader) -> Outcome {
    open(loader, |node| {
        let entries = |cookie| everything(cookie).iter().collect::<Vec<_>>();
        let mut next = 200;
        node.datapath
            .install(&[(A, &everything(100)), (B, &everything(101))])?;
        let rounds = [(101, 100), (100, 101), (102, 101), (101, 102)];
        for (a, b) in rounds {
            node.datapath
                .install(&[(A, &everything(a)), (B, &everything(b))])?;
            // Slots that were let go are used again.
            for _ in 0..4 {
                node.datapath.install(&[(A, &everything(next))])?;
                assert_eq!(node.datapath.policy(A)?, entries(next));
                assert_eq!(node.datapath.policy(B)?, entries(b), "untouched");
                next += 1;
            }
            let back = node.datapath.install(&[(A, &everything(a))])?;
            assert_eq!((back.changed, back.tables), (1, 2));
            assert_eq!(node.datapath.policy(A)?, entries(a));
        }
        // Moving on, one after the other, over the same table.
        node.datapath
            .install(&[(A, &everything(7)), (B, &everything(101))])?;
        for (a, b) in [(8, 7), (9, 8), (10, 9)] {
            node.datapath
                .install(&[(A, &everything(a)), (B, &everything(b))])?;
            node.datapath.install(&[(A, &everything(next))])?;
            assert_eq!(node.datapath.policy(B)?, entries(b));
            node.datapath.install(&[(A, &everything(a))])?;
            next += 1;
        }
        Ok(())
    })
}
