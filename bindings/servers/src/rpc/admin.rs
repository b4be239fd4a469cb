//! Methods about the node, its peers and its routes.

use std::net::{IpAddr, SocketAddr};

use serde::Serialize;
use serde_json::{Value, json};
use threephone_node::PeerAddress;

use super::openrpc;
use super::request::{Failure, INTERNAL, METHOD_NOT_FOUND, Params};
use crate::api::Api;
use crate::error::ApiError;

pub(super) async fn call(api: &Api, method: &str, params: &Params) -> Result<Value, Failure> {
    match method {
        "getInfo" => value(&api.info()),
        "getPublicKeyFromIp" => public_key(api, params).await,
        "getPeers" => value(&api.peers().await),
        "addPeer" => {
            api.add_peer(endpoint(params, -32_009)?).await?;
            Ok(json!(true))
        }
        "deletePeer" => {
            api.remove_peer(endpoint(params, -32_012)?).await?;
            Ok(json!(true))
        }
        "getSelectedRoutes" => value(&api.selected_routes().await),
        "getFallbackRoutes" => value(&api.fallback_routes().await),
        "getQueriedSubnets" => value(&api.queries().await),
        "getPacketStatistics" => value(&api.packet_statistics()),
        "getProxies" => Ok(json!([])),
        "connectProxy" => {
            let _remote: Option<SocketAddr> = params.get(0)?;
            Err(ApiError::NoProxy.into())
        }
        "disconnectProxy" | "startProxyProbe" | "stopProxyProbe" => Ok(json!(true)),
        "rpc.discover" => Ok(openrpc::document()),
        _ => Err(Failure::new(METHOD_NOT_FOUND, "there is no such method; see rpc.discover")),
    }
}

async fn public_key(api: &Api, params: &Params) -> Result<Value, Failure> {
    let text: String = params.get(0)?;
    match text.parse::<IpAddr>() {
        Ok(IpAddr::V6(address)) => Ok(json!(api.key_of(address).await?.to_string())),
        Ok(IpAddr::V4(_)) => Err(ApiError::NotIpv6.into()),
        Err(error) => Err(Failure::new(-32_007, error)),
    }
}

fn endpoint(params: &Params, code: i64) -> Result<PeerAddress, Failure> {
    params.get::<String>(0)?.parse().map_err(|error| Failure::new(code, error))
}

pub(super) fn value(result: &impl Serialize) -> Result<Value, Failure> {
    serde_json::to_value(result).map_err(|error| Failure::new(INTERNAL, error))
}
