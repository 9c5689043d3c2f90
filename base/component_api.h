/*
 * base/component_api.h - marks what the components built on net/ call inside of the core
 * (cmake/ael_private.map.in).
 *
 * Protected: seen by the components, yet called from inside directly, as what is hidden is.
 * Layer: base.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef AEL_BASE_COMPONENT_API_H
#define AEL_BASE_COMPONENT_API_H

#ifdef AEL_BUILDING_CORE
#define AEL_COMPONENT_API __attribute__((visibility("protected")))
#else
#define AEL_COMPONENT_API
#endif

#endif /* AEL_BASE_COMPONENT_API_H */
