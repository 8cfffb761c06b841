/* label.h - a name's label in the challenge zone.
 *
 * label = lower(base32(HMAC-SHA256(label key, tenant ‖ 0x00 ‖ name without "*."))) cut to 26
 * characters (130 bits): stable through any loss of state, unguessable, never another tenant's.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#define LABEL_LEN       26
#define LABEL_SIZE      (LABEL_LEN + 1)
#define LABEL_KEY_BYTES 32

void label_make(const uint8_t key[LABEL_KEY_BYTES], const char *tenant, const char *name,
	char out[LABEL_SIZE]);
