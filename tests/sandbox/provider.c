/* provider: the data providers the simulated Terra knows; see provider.h. */
#include "provider.h"

#include <strings.h>

const struct provider providers[] = {
    {"APPLE", "Apple Health", PROVIDER_SDK},
    {"APPLE_HEALTH", "Apple Health", PROVIDER_SDK},
    {"CONCEPT2", "Concept2", PROVIDER_WEB},
    {"COROS", "COROS", PROVIDER_WEB},
    {"CRONOMETER", "Cronometer", PROVIDER_WEB},
    {"DEXCOM", "Dexcom", PROVIDER_NOT_ENABLED},
    {"EIGHTSLEEP", "Eight Sleep", PROVIDER_WEB},
    {"FATSECRET", "FatSecret", PROVIDER_WEB},
    {"FITBIT", "Fitbit", PROVIDER_WEB},
    {"GARMIN", "Garmin", PROVIDER_WEB},
    {"GOOGLEFIT", "Google Fit", PROVIDER_SDK},
    {"GOOGLE_HEALTH", "Google Health", PROVIDER_WEB},
    {"HAMMERHEAD", "Hammerhead", PROVIDER_WEB},
    {"HEALTH_CONNECT", "Health Connect", PROVIDER_SDK},
    {"HUAWEI", "Huawei Health", PROVIDER_NOT_ENABLED},
    {"INBODY", "InBody", PROVIDER_NOT_ENABLED},
    {"KOMOOT", "Komoot", PROVIDER_WEB},
    {"OMRON", "Omron", PROVIDER_WEB},
    {"OURA", "Oura", PROVIDER_WEB},
    {"PELOTON", "Peloton", PROVIDER_WEB},
    {"POLAR", "Polar", PROVIDER_WEB},
    {"RIDEWITHGPS", "Ride with GPS", PROVIDER_WEB},
    {"SAMSUNG", "Samsung Health", PROVIDER_SDK},
    {"STRAVA", "Strava", PROVIDER_WEB},
    {"SUUNTO", "Suunto", PROVIDER_WEB},
    {"TRAININGPEAKS", "TrainingPeaks", PROVIDER_WEB},
    {"ULTRAHUMAN", "Ultrahuman", PROVIDER_WEB},
    {"VIRTUAGYM", "Virtuagym", PROVIDER_NOT_ENABLED},
    {"WAHOO", "Wahoo", PROVIDER_WEB},
    {"WHOOP", "WHOOP", PROVIDER_WEB},
    {"WITHINGS", "Withings", PROVIDER_WEB},
    {"ZEPP", "Zepp", PROVIDER_WEB},
};
const size_t provider_count = sizeof(providers) / sizeof(providers[0]);

const struct provider *provider_find(const char *name, size_t size)
{
    for (size_t i = 0; i < provider_count; i++)
        if (strlen(providers[i].name) == size && strncasecmp(providers[i].name, name, size) == 0)
            return &providers[i];
    return NULL;
}
