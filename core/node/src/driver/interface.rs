//! The interfaces of this machine, as the system tells them.

use std::collections::BTreeSet;
use std::net::IpAddr;

use crate::discovery::Interface;

/// All interfaces that have an address; none where the system does not tell.
#[cfg(unix)]
pub(crate) fn list() -> Vec<Interface> {
    use crate::discovery::is_link_local;
    use nix::net::if_::InterfaceFlags;
    use std::collections::BTreeMap;

    let mut interfaces = BTreeMap::<String, Interface>::new();
    let Ok(addresses) = nix::ifaddrs::getifaddrs() else { return Vec::new() };
    for address in addresses {
        let name = address.interface_name;
        let has = |flag| address.flags.contains(flag);
        let interface = interfaces.entry(name.clone()).or_insert_with(|| Interface {
            is_up: has(InterfaceFlags::IFF_UP),
            is_multicast: has(InterfaceFlags::IFF_MULTICAST),
            is_loopback: has(InterfaceFlags::IFF_LOOPBACK),
            is_point_to_point: has(InterfaceFlags::IFF_POINTOPOINT),
            is_tun: is_tun(&name),
            name,
            link_local: None,
        });
        let inet6 = address.address.as_ref().and_then(|address| address.as_sockaddr_in6());
        if let Some(inet6) = inet6
            && is_link_local(&inet6.ip())
            && inet6.scope_id() != 0
        {
            interface.link_local = Some(inet6.scope_id());
        }
    }
    interfaces.into_values().collect()
}

/// Whether this machine has the address now; true where the system does not tell.
#[cfg(unix)]
pub(crate) fn has_address(wanted: IpAddr) -> bool {
    let Ok(mut addresses) = nix::ifaddrs::getifaddrs() else { return true };
    addresses.any(|address| {
        let Some(address) = address.address else { return false };
        let inet = address.as_sockaddr_in().map(|inet| IpAddr::from(inet.ip()));
        let inet6 = address.as_sockaddr_in6().map(|inet6| IpAddr::from(inet6.ip()));
        inet.or(inet6) == Some(wanted.to_canonical())
    })
}

/// By interface, the addresses that lead to others; not those of the overlay. None where the system
/// does not tell.
#[cfg(unix)]
pub(crate) fn addresses() -> BTreeSet<(String, IpAddr)> {
    use nix::net::if_::InterfaceFlags;

    let Ok(addresses) = nix::ifaddrs::getifaddrs() else { return BTreeSet::new() };
    let leading = addresses.filter_map(|address| {
        let name = address.interface_name;
        let flags = address.flags;
        if !flags.contains(InterfaceFlags::IFF_UP) || flags.contains(InterfaceFlags::IFF_LOOPBACK) {
            return None;
        }
        let address = address.address?;
        let inet = address.as_sockaddr_in().map(|inet| IpAddr::from(inet.ip()));
        let inet6 = address.as_sockaddr_in6().map(|inet6| IpAddr::from(inet6.ip()));
        Some((name, inet.or(inet6)?))
    });
    let is_overlay =
        |address| matches!(address, IpAddr::V6(address) if threephone_address::in_overlay(address));
    leading.filter(|(_, address)| !is_overlay(*address)).collect()
}

/// What a program made to be its other end; Linux marks them.
#[cfg(unix)]
fn is_tun(name: &str) -> bool {
    std::path::Path::new("/sys/class/net").join(name).join("tun_flags").exists()
}

/// None: there is no discovery here yet.
#[cfg(not(unix))]
pub(crate) fn list() -> Vec<Interface> {
    Vec::new()
}

/// Nothing is known of addresses here.
#[cfg(not(unix))]
pub(crate) fn has_address(_: IpAddr) -> bool {
    true
}

/// Nothing is known of addresses here.
#[cfg(not(unix))]
pub(crate) fn addresses() -> BTreeSet<(String, IpAddr)> {
    BTreeSet::new()
}
