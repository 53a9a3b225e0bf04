//! The wire between a container and the host: a pair of virtual Ethernet interfaces, made over rtnetlink.

use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use futures_util::TryStreamExt;
use nix::sched::{CloneFlags, setns};
use rtnetlink::packet_route::AddressFamily;
use rtnetlink::packet_route::address::AddressAttribute;
use rtnetlink::packet_route::link::{InfoData, InfoKind, InfoVeth, LinkAttribute, LinkMessage};
use rtnetlink::{Handle, LinkMessageBuilder, LinkUnspec, LinkVeth, RouteMessageBuilder};

use super::subnet::{LINK_PREFIX, Link};
use crate::EngineError;
use crate::error::Doing;

/// The container's interface, by the name that programs expect.
const INSIDE: &str = "eth0";

/// Sysctls of a container's network: no IPv6 (no rule of ours to write twice, no router advertisements),
/// every user may listen on low ports and send echo requests, as there is nobody to guard them from.
const SYSCTLS: [(&str, &str); 4] = [
    ("ipv6/conf/all/disable_ipv6", "1"),
    ("ipv6/conf/default/disable_ipv6", "1"),
    ("ipv4/ip_unprivileged_port_start", "0"),
    ("ipv4/ping_group_range", "0 2147483647"),
];

const PATIENCE: Duration = Duration::from_secs(30);

/// The host's interface of a connection: at most 15 characters.
pub(super) fn interface(instance: &str, link: &Link) -> String {
    format!("{}{}", interface_prefix(instance), link.index)
}

/// What the names of all our interfaces begin with.
pub(super) fn interface_prefix(instance: &str) -> String {
    format!("dar{instance}")
}

/// Connects the network namespace of process `pid` to the host. What an earlier attempt left is replaced.
pub(super) async fn plug(pid: i32, interface: String, link: Link) -> Result<(), EngineError> {
    in_time("connecting the container to the network", try_plug(pid, interface, link)).await
}

async fn try_plug(pid: i32, interface: String, link: Link) -> Result<(), EngineError> {
    unplug(&interface).await?;
    let inside = interface.clone();
    in_namespace(pid, move |host| set_up_inside(inside, link, host)).await?;
    failpoint::reach("S9");
    set_up_host(&interface, &link).await
}

/// Removes an interface with its peer; an absent one is fine.
pub(super) async fn unplug(interface: &str) -> Result<(), EngineError> {
    in_time("removing a network interface", try_unplug(interface)).await
}

/// The kernel answers in milliseconds, unless one of its locks is held by something that hangs.
async fn in_time<T>(
    doing: &str,
    work: impl Future<Output = Result<T, EngineError>>,
) -> Result<T, EngineError> {
    let late = |_| EngineError::host(doing, "the kernel did not answer in time");
    tokio::time::timeout(PATIENCE, work).await.map_err(late)?
}

async fn try_unplug(interface: &str) -> Result<(), EngineError> {
    let handle = connect().doing(|| "talking to the kernel about interfaces".to_owned())?;
    let Some(index) = index_of(&handle, interface).await? else { return Ok(()) };
    match handle.link().del(index).execute().await {
        Err(error) if !is_missing(&error) => {
            Err(EngineError::host(format!("removing interface {interface}"), error))
        }
        _ => Ok(()),
    }
}

/// The names of all interfaces of the host that begin with `prefix`.
pub(super) async fn interfaces(prefix: &str) -> Result<Vec<String>, EngineError> {
    let doing = "listing the host's interfaces";
    let handle = connect().doing(|| doing.to_owned())?;
    let list = async {
        handle.link().get().execute().try_collect().await.map_err(|error| EngineError::host(doing, error))
    };
    let links: Vec<LinkMessage> = in_time(doing, list).await?;
    let name = |link: LinkMessage| {
        link.attributes.into_iter().find_map(|attribute| match attribute {
            LinkAttribute::IfName(name) => Some(name),
            _ => None,
        })
    };
    Ok(links.into_iter().filter_map(name).filter(|name| name.starts_with(prefix)).collect())
}

/// Every IPv4 address of the host with its prefix length.
pub(super) async fn addresses() -> Result<Vec<(Ipv4Addr, u8)>, EngineError> {
    let doing = "listing the host's addresses";
    let handle = connect().doing(|| doing.to_owned())?;
    let list = async {
        handle.address().get().execute().try_collect().await.map_err(|error| EngineError::host(doing, error))
    };
    let messages: Vec<_> = in_time(doing, list).await?;
    let ipv4 = messages.into_iter().filter(|message| message.header.family == AddressFamily::Inet);
    let address = ipv4.filter_map(|message| {
        let prefix = message.header.prefix_len;
        message.attributes.into_iter().find_map(|attribute| match attribute {
            AddressAttribute::Address(IpAddr::V4(address)) => Some((address, prefix)),
            _ => None,
        })
    });
    Ok(address.collect())
}

/// The pair is born inside, its other end directly on the host: were we to die between two steps, both ends
/// would go with the container's namespace.
async fn set_up_inside(interface: String, link: Link, host: i32) -> Result<(), EngineError> {
    for (name, value) in SYSCTLS {
        match fs::write(format!("/proc/sys/net/{name}"), value) {
            // A kernel without IPv6 has nothing to switch off.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            written => written.doing(|| format!("setting net/{name} for the container"))?,
        }
    }
    let fail =
        |what: &'static str| move |error| EngineError::host(format!("giving the container {what}"), error);
    let handle = connect().doing(|| "talking to the kernel about the container's interfaces".to_owned())?;
    let peer = LinkMessageBuilder::<LinkUnspec>::new().name(interface).setns_by_fd(host).build();
    let pair = LinkMessageBuilder::<LinkVeth>::new_with_info_kind(InfoKind::Veth)
        .name(INSIDE.to_owned())
        .set_info_data(InfoData::Veth(InfoVeth::Peer(peer)))
        .up()
        .build();
    handle.link().add(pair).execute().await.map_err(fail("an interface"))?;

    let loopback = LinkMessageBuilder::<LinkUnspec>::new().name("lo".to_owned()).up().build();
    handle.link().set(loopback).execute().await.map_err(fail("a loopback interface"))?;
    let index = required_index(&handle, INSIDE).await?;
    let address = IpAddr::V4(link.address);
    handle.address().add(index, address, LINK_PREFIX).execute().await.map_err(fail("an address"))?;
    let route = RouteMessageBuilder::<Ipv4Addr>::new().gateway(link.gateway).build();
    handle.route().add(route).execute().await.map_err(fail("a route"))
}

async fn set_up_host(interface: &str, link: &Link) -> Result<(), EngineError> {
    // A container can send from its own address only.
    fs::write(format!("/proc/sys/net/ipv4/conf/{interface}/rp_filter"), "1")
        .doing(|| format!("making interface {interface} strict"))?;
    let fail = |error| EngineError::host(format!("setting up interface {interface}"), error);
    let handle = connect().doing(|| "talking to the kernel about interfaces".to_owned())?;
    let index = required_index(&handle, interface).await?;
    handle.address().add(index, IpAddr::V4(link.gateway), LINK_PREFIX).execute().await.map_err(fail)?;
    handle.link().set(LinkUnspec::new_with_index(index).up().build()).execute().await.map_err(fail)
}

/// Runs `work` in the network namespace of process `pid`, on a thread of its own that ends with it: a thread
/// of the runtime would take the namespace along to its next task. `work` is given the host's namespace.
async fn in_namespace<F, W>(pid: i32, work: W) -> Result<(), EngineError>
where
    F: Future<Output = Result<(), EngineError>>,
    W: FnOnce(i32) -> F + Send + 'static,
{
    let (send, receive) = tokio::sync::oneshot::channel();
    let enter = move || -> Result<(), EngineError> {
        use std::os::fd::AsRawFd;
        let doing = || "entering the container's network".to_owned();
        let host = fs::File::open("/proc/thread-self/ns/net").doing(doing)?;
        let namespace = fs::File::open(format!("/proc/{pid}/ns/net")).doing(doing)?;
        setns(&namespace, CloneFlags::CLONE_NEWNET).doing(doing)?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().doing(doing)?;
        runtime.block_on(work(host.as_raw_fd()))
    };
    std::thread::Builder::new()
        .name("netns".to_owned())
        .spawn(move || send.send(enter()))
        .doing(|| "starting a thread for the container's network".to_owned())?;
    receive.await.unwrap_or_else(|_| {
        Err(EngineError::host("setting up the container's network", "the thread panicked"))
    })
}

/// The connection's task ends when the handle is dropped.
fn connect() -> io::Result<Handle> {
    let (connection, handle, _) = rtnetlink::new_connection()?;
    tokio::spawn(connection);
    Ok(handle)
}

async fn required_index(handle: &Handle, name: &str) -> Result<u32, EngineError> {
    index_of(handle, name)
        .await?
        .ok_or_else(|| EngineError::host(format!("finding interface {name}"), "it is gone"))
}

async fn index_of(handle: &Handle, name: &str) -> Result<Option<u32>, EngineError> {
    match handle.link().get().match_name(name.to_owned()).execute().try_next().await {
        Ok(link) => Ok(link.map(|link| link.header.index)),
        Err(error) if is_missing(&error) => Ok(None),
        Err(error) => Err(EngineError::host(format!("finding interface {name}"), error)),
    }
}

fn is_missing(error: &rtnetlink::Error) -> bool {
    match error {
        rtnetlink::Error::NetlinkError(message) => message.raw_code() == -libc::ENODEV,
        _ => false,
    }
}
