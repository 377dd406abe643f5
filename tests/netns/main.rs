//! System tests in network namespaces.

mod network;
