//! Why a packet was dropped.

use std::fmt;
use std::str::FromStr;

use crate::error::ParseDropReasonError;

/// The reason of a drop: a number as Hubble's `flow.DropReason` counts them.
///
/// Numbers 130–205 mean what they mean to Hubble. 240–255 are Porin's own, for causes that Hubble
/// has no number for: [`name`](Self::name) gives our name, [`hubble_name`](Self::hubble_name) is
/// `DROP_REASON_UNKNOWN`. `Display` is the text of the `hubble observe` line.
///
/// ```
/// use porin_flow::DropReason;
///
/// assert_eq!(DropReason::POLICY_DENIED.get(), 133);
/// assert_eq!(DropReason::POLICY_DENIED.to_string(), "Policy denied");
/// assert_eq!(DropReason::NOT_READY.hubble_name(), "DROP_REASON_UNKNOWN");
/// assert_eq!(DropReason::NOT_READY.name(), "NOT_READY");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct DropReason(u8);

macro_rules! drop_reasons {
    ($($number:literal $name:ident $text:literal $doc:literal;)*) => {
        impl DropReason {
            $(#[doc = $doc] pub const $name: Self = Self($number);)*

            /// Every named reason, by number.
            pub const NAMED: &'static [(Self, &'static str)] = &[
                $((Self($number), stringify!($name)),)*
            ];

            /// The name: Hubble's below 240, ours from 240 on; `DROP_REASON_UNKNOWN` if there is none.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self.0 {
                    $($number => stringify!($name),)*
                    _ => UNKNOWN,
                }
            }

            const fn text(self) -> Option<&'static str> {
                match self.0 {
                    $($number => Some($text),)*
                    _ => None,
                }
            }
        }
    };
}

const UNKNOWN: &str = "DROP_REASON_UNKNOWN";

impl DropReason {
    /// The reason with this number.
    #[must_use]
    pub const fn new(number: u8) -> Self {
        Self(number)
    }

    /// The number.
    #[must_use]
    pub const fn get(self) -> u8 {
        self.0
    }

    /// Whether the number is one of Porin's own, 240–255.
    #[must_use]
    pub const fn is_own(self) -> bool {
        self.0 >= 240
    }

    /// Whether policy dropped the packet: no rule allows it, or a rule denies it.
    #[must_use]
    pub const fn is_policy(self) -> bool {
        matches!(self, Self::POLICY_DENIED | Self::POLICY_DENY)
    }

    /// The name of the value in Hubble's enum; `DROP_REASON_UNKNOWN` where it has none.
    #[must_use]
    pub const fn hubble_name(self) -> &'static str {
        if self.is_own() { UNKNOWN } else { self.name() }
    }
}

impl fmt::Display for DropReason {
    /// The text of the `hubble observe` line, or the number when there is none.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.text() {
            Some(text) => f.write_str(text),
            None => write!(f, "{}", self.0),
        }
    }
}

impl FromStr for DropReason {
    type Err = ParseDropReasonError;

    /// Reads a name, Hubble's or ours.
    fn from_str(name: &str) -> Result<Self, Self::Err> {
        let found = Self::NAMED.iter().find(|(_, known)| *known == name);
        match found {
            Some((reason, _)) => Ok(*reason),
            None if name == UNKNOWN => Ok(Self(0)),
            None => Err(ParseDropReasonError {
                name: name.to_owned(),
            }),
        }
    }
}

drop_reasons! {
    130 INVALID_SOURCE_MAC "Invalid source mac" "Hubble's 130: Invalid source mac.";
    131 INVALID_DESTINATION_MAC "Invalid destination mac" "Hubble's 131: Invalid destination mac.";
    132 INVALID_SOURCE_IP "Invalid source ip" "Hubble's 132: The source address is not one the endpoint may use.";
    133 POLICY_DENIED "Policy denied" "Hubble's 133: No rule allows the packet: default deny.";
    134 INVALID_PACKET_DROPPED "Invalid packet" "Hubble's 134: The packet is malformed.";
    135 CT_TRUNCATED_OR_INVALID_HEADER "CT: Truncated or invalid header" "Hubble's 135: CT: Truncated or invalid header.";
    136 CT_MISSING_TCP_ACK_FLAG "Fragmentation needed" "Hubble's 136: Fragmentation needed.";
    137 CT_UNKNOWN_L4_PROTOCOL "CT: Unknown L4 protocol" "Hubble's 137: Connection tracking does not know the transport protocol.";
    138 CT_CANNOT_CREATE_ENTRY_FROM_PACKET "CT: Can't create entry from packet" "Hubble's 138: CT: Can't create entry from packet.";
    139 UNSUPPORTED_L3_PROTOCOL "Unsupported L3 protocol" "Hubble's 139: Unsupported L3 protocol.";
    140 MISSED_TAIL_CALL "Missed tail call" "Hubble's 140: Missed tail call.";
    141 ERROR_WRITING_TO_PACKET "Error writing to packet" "Hubble's 141: Error writing to packet.";
    142 UNKNOWN_L4_PROTOCOL "Unknown L4 protocol" "Hubble's 142: Unknown L4 protocol.";
    143 UNKNOWN_ICMPV4_CODE "Unknown ICMPv4 code" "Hubble's 143: Unknown ICMPv4 code.";
    144 UNKNOWN_ICMPV4_TYPE "Unknown ICMPv4 type" "Hubble's 144: Unknown ICMPv4 type.";
    145 UNKNOWN_ICMPV6_CODE "Unknown ICMPv6 code" "Hubble's 145: Unknown ICMPv6 code.";
    146 UNKNOWN_ICMPV6_TYPE "Unknown ICMPv6 type" "Hubble's 146: Unknown ICMPv6 type.";
    147 ERROR_RETRIEVING_TUNNEL_KEY "Error retrieving tunnel key" "Hubble's 147: Error retrieving tunnel key.";
    148 ERROR_RETRIEVING_TUNNEL_OPTIONS "Error retrieving tunnel options" "Hubble's 148: Error retrieving tunnel options.";
    149 INVALID_GENEVE_OPTION "Invalid Geneve option" "Hubble's 149: Invalid Geneve option.";
    150 UNKNOWN_L3_TARGET_ADDRESS "Unknown L3 target address" "Hubble's 150: Unknown L3 target address.";
    151 STALE_OR_UNROUTABLE_IP "Stale or unroutable IP" "Hubble's 151: Stale or unroutable IP.";
    152 NO_MATCHING_LOCAL_CONTAINER_FOUND "No matching local container found" "Hubble's 152: No matching local container found.";
    153 ERROR_WHILE_CORRECTING_L3_CHECKSUM "Error while correcting L3 checksum" "Hubble's 153: Error while correcting L3 checksum.";
    154 ERROR_WHILE_CORRECTING_L4_CHECKSUM "Error while correcting L4 checksum" "Hubble's 154: Error while correcting L4 checksum.";
    155 CT_MAP_INSERTION_FAILED "CT: Map insertion failed" "Hubble's 155: Connection tracking is full.";
    156 INVALID_IPV6_EXTENSION_HEADER "Invalid IPv6 extension header" "Hubble's 156: Invalid IPv6 extension header.";
    157 IP_FRAGMENTATION_NOT_SUPPORTED "IP fragmentation not supported" "Hubble's 157: IP fragmentation not supported.";
    158 SERVICE_BACKEND_NOT_FOUND "Service backend not found" "Hubble's 158: Service backend not found.";
    160 NO_TUNNEL_OR_ENCAPSULATION_ENDPOINT "No tunnel/encapsulation endpoint (datapath BUG!)" "Hubble's 160: No tunnel/encapsulation endpoint (datapath BUG!).";
    161 FAILED_TO_INSERT_INTO_PROXYMAP "NAT 46/64 not enabled" "Hubble's 161: NAT 46/64 not enabled.";
    162 REACHED_EDT_RATE_LIMITING_DROP_HORIZON "Reached EDT rate-limiting drop horizon" "Hubble's 162: Reached EDT rate-limiting drop horizon.";
    163 UNKNOWN_CONNECTION_TRACKING_STATE "Unknown connection tracking state" "Hubble's 163: Unknown connection tracking state.";
    164 LOCAL_HOST_IS_UNREACHABLE "Local host is unreachable" "Hubble's 164: Local host is unreachable.";
    165 NO_CONFIGURATION_AVAILABLE_TO_PERFORM_POLICY_DECISION "No configuration available to perform policy decision" "Hubble's 165: No configuration available to perform policy decision.";
    166 UNSUPPORTED_L2_PROTOCOL "Unsupported L2 protocol" "Hubble's 166: Unsupported L2 protocol.";
    167 NO_MAPPING_FOR_NAT_MASQUERADE "No mapping for NAT masquerade" "Hubble's 167: No mapping for NAT masquerade.";
    168 UNSUPPORTED_PROTOCOL_FOR_NAT_MASQUERADE "Unsupported protocol for NAT masquerade" "Hubble's 168: Unsupported protocol for NAT masquerade.";
    169 FIB_LOOKUP_FAILED "FIB lookup failed" "Hubble's 169: FIB lookup failed.";
    170 ENCAPSULATION_TRAFFIC_IS_PROHIBITED "Encapsulation traffic is prohibited" "Hubble's 170: Encapsulation traffic is prohibited.";
    171 INVALID_IDENTITY "Invalid identity" "Hubble's 171: Invalid identity.";
    172 UNKNOWN_SENDER "Unknown sender" "Hubble's 172: Unknown sender.";
    173 NAT_NOT_NEEDED "NAT not needed" "Hubble's 173: NAT not needed.";
    174 IS_A_CLUSTERIP "Is a ClusterIP" "Hubble's 174: Is a ClusterIP.";
    175 FIRST_LOGICAL_DATAGRAM_FRAGMENT_NOT_FOUND "First logical datagram fragment not found" "Hubble's 175: First logical datagram fragment not found.";
    176 FORBIDDEN_ICMPV6_MESSAGE "Forbidden ICMPv6 message" "Hubble's 176: Forbidden ICMPv6 message.";
    177 DENIED_BY_LB_SRC_RANGE_CHECK "Denied by LB src range check" "Hubble's 177: Denied by LB src range check.";
    178 SOCKET_LOOKUP_FAILED "Socket lookup failed" "Hubble's 178: Socket lookup failed.";
    179 SOCKET_ASSIGN_FAILED "Socket assign failed" "Hubble's 179: Socket assign failed.";
    180 PROXY_REDIRECTION_NOT_SUPPORTED_FOR_PROTOCOL "Proxy redirection not supported for protocol" "Hubble's 180: Proxy redirection not supported for protocol.";
    181 POLICY_DENY "Policy denied by denylist" "Hubble's 181: A deny rule matched.";
    182 VLAN_FILTERED "VLAN traffic disallowed by VLAN filter" "Hubble's 182: VLAN traffic disallowed by VLAN filter.";
    183 INVALID_VNI "Incorrect VNI from VTEP" "Hubble's 183: Incorrect VNI from VTEP.";
    184 INVALID_TC_BUFFER "Failed to update or lookup TC buffer" "Hubble's 184: Failed to update or lookup TC buffer.";
    185 NO_SID "No SID was found for the IP address" "Hubble's 185: No SID was found for the IP address.";
    186 MISSING_SRV6_STATE "SRv6 state was removed during tail call" "Hubble's 186: SRv6 state was removed during tail call.";
    187 NAT46 "L3 translation from IPv4 to IPv6 failed (NAT46)" "Hubble's 187: L3 translation from IPv4 to IPv6 failed (NAT46).";
    188 NAT64 "L3 translation from IPv6 to IPv4 failed (NAT64)" "Hubble's 188: L3 translation from IPv6 to IPv4 failed (NAT64).";
    189 AUTH_REQUIRED "Authentication required" "Hubble's 189: Authentication required.";
    190 CT_NO_MAP_FOUND "No conntrack map found" "Hubble's 190: No conntrack map found.";
    191 SNAT_NO_MAP_FOUND "No nat map found" "Hubble's 191: No nat map found.";
    192 INVALID_CLUSTER_ID "Invalid ClusterID" "Hubble's 192: Invalid ClusterID.";
    193 UNSUPPORTED_PROTOCOL_FOR_DSR_ENCAP "Unsupported packet protocol for DSR encapsulation" "Hubble's 193: Unsupported packet protocol for DSR encapsulation.";
    194 NO_EGRESS_GATEWAY "No egress gateway found" "Hubble's 194: No egress gateway found.";
    195 UNENCRYPTED_TRAFFIC "Traffic is unencrypted" "Hubble's 195: Traffic is unencrypted.";
    196 TTL_EXCEEDED "TTL exceeded" "Hubble's 196: TTL exceeded.";
    197 NO_NODE_ID "No node ID found" "Hubble's 197: No node ID found.";
    198 DROP_RATE_LIMITED "Rate limited" "Hubble's 198: Rate limited.";
    199 IGMP_HANDLED "IGMP handled" "Hubble's 199: IGMP handled.";
    200 IGMP_SUBSCRIBED "IGMP subscribed" "Hubble's 200: IGMP subscribed.";
    201 MULTICAST_HANDLED "Multicast handled" "Hubble's 201: Multicast handled.";
    202 DROP_HOST_NOT_READY "Host datapath not ready" "Hubble's 202: Host datapath not ready.";
    203 DROP_EP_NOT_READY "Endpoint policy program not available" "Hubble's 203: Endpoint policy program not available.";
    204 DROP_NO_EGRESS_IP "No Egress IP configured" "Hubble's 204: No Egress IP configured.";
    205 DROP_PUNT_PROXY "Punt to proxy" "Hubble's 205: Punt to proxy.";
    240 NOT_READY "Endpoint not ready" "The endpoint's policy is not in force yet; nothing passes until it is.";
    241 L7_WITHOUT_PROXY "L7 rule without proxy" "Policy asks for a judgement at layer 7 and no proxy is there to make it.";
    242 LEASE_EXPIRED "Lease expired" "The lease of the policy or the identity ran out.";
    243 ADDRESS_QUARANTINED "Address in quarantine" "The address was freed a moment ago and belongs to nobody yet.";
    244 UNKNOWN_ENDPOINT "Unknown endpoint" "The interface belongs to no endpoint.";
    245 POLICY_TABLE_MISSING "Policy table missing" "The endpoint points at a policy table that is not there.";
    246 ARP_SPOOFED "ARP sender forged" "An ARP packet claims an address that is not the endpoint's.";
}
